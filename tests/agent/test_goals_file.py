"""Files of goals that are none, and goals that would steer a terminal."""

import io
import os

import pytest

from protege.agent.goals import read_goals
from protege.agent.stats import LoopStats
from protege.agent.status import Status
from protege.core import KEYBOARD_12
from protege.errors import UserError


@pytest.mark.parametrize("kind", ["pipe", "endless", "large", "folder", "not text"])
def test_a_file_that_is_no_list_of_goals_is_one_line_at_once(tmp_path, kind):
    path = tmp_path / "goals.txt"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"go\n" * 2_000_000 if kind == "large" else b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"goals\.txt"):
        read_goals(path)


def test_a_goal_never_steers_the_terminal():
    out = io.StringIO()
    status = Status(KEYBOARD_12, LoopStats(), out)
    status.goal(0, "Go\x1b]0;owned\x07 on\r\u202e")
    status.goal_ended(0, "Go\x1b[2J", "success")
    assert len(out.getvalue().splitlines()) == 2
    assert not set("\x1b\x07\r\u202e") & set(out.getvalue())
