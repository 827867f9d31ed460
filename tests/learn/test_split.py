"""What is held out: as much as was asked for, never what an earlier run was trained on, always what it held out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protege.learn.split import hold_out

SIZES = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(1, 9), min_size=2, max_size=9)


def test_as_much_as_was_asked_for_is_enough():
    """With four recordings of equal size and a share of a quarter, one is held out: its samples are enough."""
    for seed in range(20):
        assert len(hold_out(dict.fromkeys("abcd", 5), 0.25, seed)) == 1
        assert len(hold_out(dict.fromkeys("abcd", 5), 0.26, seed)) == 2


def test_a_recording_that_makes_it_exactly_half_is_still_held_out():
    assert len(hold_out({"a": 5, "b": 5}, 0.5, 0)) == 1
    assert len(hold_out({"a": 5, "b": 5}, 0.9, 0)) == 1


@settings(deadline=None)
@given(SIZES, SIZES, st.floats(0.01, 0.9), st.integers(0, 9), st.integers(0, 9))
def test_every_recording_stays_on_its_side_as_data_grows(first, more, share, seed, other):
    held = hold_out(first, share, seed)
    trained = first.keys() - held
    grown = {**first, **{f"new {name}": size for name, size in more.items()}}
    now = hold_out(grown, share, other, trained=trained, held=held)
    assert now >= held
    assert not now & trained
    assert sum(grown[n] for n in now) <= max(max(share, 0.5) * sum(grown.values()), sum(first[n] for n in held))
