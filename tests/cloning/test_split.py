"""Episodes are shared out whole, by a seed, and no part is ever empty."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.cloning.split import split
from protege.cloning.store import Dataset, Episode
from protege.errors import UserError


def dataset(count):
    """A data set of so many episodes, without their arrays."""
    episodes = tuple(Episode(f"episode_{n}", None, None, None) for n in range(count))  # pyright: ignore
    return Dataset("d.zarr", ("w",), (), (), episodes, ())  # pyright: ignore


def names(part):
    return [episode.name for episode in part]


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(3, 60),
    weights=st.tuples(*[st.floats(0.01, 1)] * 3),
    seed=st.integers(0, 2**31),
)
def test_every_episode_is_in_exactly_one_part_and_no_part_is_empty(count, weights, seed):
    ratios = [weight / sum(weights) for weight in weights]
    parts = split(dataset(count), ratios, seed)
    found = names(parts.train) + names(parts.validation) + names(parts.test)
    assert sorted(found) == sorted(f"episode_{n}" for n in range(count))
    assert all((parts.train, parts.validation, parts.test))


def test_a_hundred_episodes_are_shared_out_as_asked():
    parts = split(dataset(100), (0.7, 0.2, 0.1))
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [70, 20, 10]


def test_the_seed_decides():
    ratios = (0.8, 0.1, 0.1)
    assert split(dataset(50), ratios, 1) == split(dataset(50), ratios, 1)
    assert names(split(dataset(50), ratios, 1).test) != names(split(dataset(50), ratios, 2).test)


def test_a_single_episode_is_an_error():
    with pytest.raises(UserError, match="1 usable episode; expected 2 or more"):
        split(dataset(1))


def test_two_episodes_are_one_to_train_and_one_to_validate():
    parts = split(dataset(2))
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [1, 1, 0]


@pytest.mark.parametrize(("count", "expected"), [(2, [1, 1, 0]), (10, [8, 2, 0])])
def test_without_a_share_to_test_there_is_no_such_part(count, expected):
    parts = split(dataset(count), (0.8, 0.2, 0.0))
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == expected


@pytest.mark.parametrize("ratios", [(0.8, 0.2), (0.8, 0.0, 0.2), (0.8, 0.3, 0.1), (1.2, -0.1, -0.1)])
def test_ratios_that_are_none_are_an_error(ratios):
    with pytest.raises(UserError, match="expected three that add up to 1"):
        split(dataset(10), ratios)
