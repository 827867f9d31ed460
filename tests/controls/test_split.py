"""Splitting by recording and type."""

from pathlib import Path

import pytest

from protege.controls.recordings import RecordingFile
from protege.controls.split import split
from protege.errors import UserError


def files(**counts):
    return [RecordingFile(Path(f"{kind}{i}.npz"), 100, 30.0, kind) for kind, n in counts.items() for i in range(n)]


@pytest.mark.parametrize("counts", [{"a": 3}, {"a": 10, "b": 10}, {"a": 3, "b": 1, "c": 1}, {"a": 2, "b": 2}, {"a": 7}])
def test_no_part_is_ever_empty_and_every_type_is_trained_on(counts):
    made = files(**counts)
    parts = split(made)
    together = [*parts.train, *parts.validation, *parts.test]
    assert sorted(f.path for f in together) == sorted(f.path for f in made)
    assert parts.train
    assert parts.validation
    assert parts.test
    assert {f.session_type for f in parts.train} == set(counts)


def test_a_fifth_of_each_type_is_held_back_for_each():
    parts = split(files(a=10, b=20))
    assert [f.session_type for f in parts.validation].count("a") == 2
    assert [f.session_type for f in parts.test].count("b") == 4
    assert parts.alone == ()


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ({}, r"none.*validation and test"),
        ({"a": 1}, r"1 a.*record 2 more of type 'a'"),
        ({"a": 2}, r"nothing is left for test.*record 1 more of type 'a'"),
        ({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, r"expected at least three of one type"),
    ],
)
def test_too_few_recordings_are_an_error_that_says_what_to_record(counts, says):
    with pytest.raises(UserError, match=says):
        split(files(**counts))


def test_the_split_depends_on_the_seed_alone():
    made = files(a=10)
    assert split(made) == split(made[::-1])
    assert split(made) != split(made, seed=43)


def test_types_with_little_data_are_named():
    assert split(files(a=5, b=1, c=2)).alone == ("b", "c")


@pytest.mark.parametrize(("validation", "test"), [(0, 0.2), (0.2, 0), (0.6, 0.5)])
def test_shares_that_leave_nothing_are_refused(validation, test):
    with pytest.raises(UserError, match=r"data\.validation and data\.test"):
        split(files(a=10), validation, test)


def test_large_shares_still_leave_something_to_train_on():
    assert len(split(files(a=3), 0.45, 0.45).train) == 1


def test_parts_that_would_take_all_leave_one_to_train_on():
    """Of three, round(3 * 0.6) and round(3 * 0.3) are all of them."""
    found = split(files(a=3), 0.6, 0.3)
    assert (len(found.train), len(found.validation), len(found.test)) == (1, 1, 1)


def test_recordings_keep_their_part_as_more_come():
    old, new = files(a=8, b=2), files(a=20, b=5)
    first = split(old)
    before = {file.path.name: part for part in ("train", "validation", "test") for file in getattr(first, part)}
    now = split(new, before=before)
    parts = {file.path.name: part for part in ("train", "validation", "test") for file in getattr(now, part)}
    assert parts.items() >= before.items()
    assert len(parts) == 25
    assert [sum(p == part and n[0] == "a" for n, p in parts.items()) for part in ("validation", "test")] == [4, 4]
