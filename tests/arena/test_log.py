"""The window's log: reading undoes writing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.arena.log import Ended, Opened, Started, Tic, read_line, read_lines, write_line
from protege.arena.rooms import layout
from protege.core.actions import KEYBOARD_12

NUMBER = st.floats(-1e4, 1e4)
TIC = st.builds(
    Tic,
    t_ns=st.integers(0, 2**62),
    buttons=st.fixed_dictionaries(dict.fromkeys(KEYBOARD_12.pressable, st.booleans())),
    x=NUMBER,
    y=NUMBER,
    z=NUMBER,
    angle_deg=NUMBER,
    pitch_deg=NUMBER,
    door_gap=NUMBER,
)
STARTED = Started(5, 0, 10_003, "Open the door", "door", "open_door")


@given(TIC)
def test_reading_a_tic_undoes_writing_it(line):
    assert read_line(write_line(line)) == line


@pytest.mark.parametrize("line", [Opened(1, "T", (640, 480)), STARTED, Ended(9, 0, 3, "success", None, "tree")])
def test_reading_a_line_undoes_writing_it(line):
    assert read_line(write_line(line)) == line


def test_a_start_rebuilds_the_layout():
    assert STARTED.layout == layout(10_003, STARTED.layout.goal)
    assert STARTED.layout.goal.name == "door"


def test_a_line_that_was_cut_off_is_left_out():
    whole = write_line(STARTED)
    assert list(read_lines([whole, whole[:20]])) == [STARTED]


def test_something_else_is_refused():
    with pytest.raises(ValueError, match="not a line of the arena's log: 'hello'"):
        read_line("hello")
