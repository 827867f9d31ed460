"""A recording of the window gets the goals that the window's log knows."""

import numpy as np

from protege.arena.annotate import add_goals
from protege.arena.log import Ended, Started, Tic, write_line
from protege.core import Session, SessionInfo, SessionWriter, encode_jpeg
from protege.core.events import End, Goal, Held, Key, Pause
from protege.core.session import check

SECOND = 10**9


def tic(t_s):
    return Tic(round(t_s * SECOND), {}, 0, 0, 0, 0, 0, 0)


def started(t_s, number, goal):
    return Started(round(t_s * SECOND), number, 5000 + number, goal, "lantern", "go_to")


def test_every_episode_gets_its_goal_and_ends_with_its_last_tic(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [
        started(0, 0, "Go to the lantern"),
        tic(0.1),
        Ended(SECOND, 0, 5000, "success", None, None),
        tic(1.9),
        started(2, 1, "Open the door"),
        tic(2.5),
        Ended(4 * SECOND, 1, 5001, "timeout", None, None),
        tic(4.9),
        started(5, 2, "Climb the stairs"),
        tic(5.1),
        started(99, 3, "Check the posters"),
    ]
    log.write_text("".join(write_line(line) for line in lines) + '{"kind": "ti')
    writer = SessionWriter.create(tmp_path, SessionInfo(frame_size=(32, 24)), "s")
    writer.event(Held(SECOND // 2, frozenset("w")))
    for i in range(60):
        writer.frame(SECOND // 2 + i * SECOND // 10, encode_jpeg(np.zeros((24, 32, 3), np.uint8)))
    writer.event(Key(2 * SECOND, "w", False))
    writer.event(Pause(7 * SECOND, "stop"))
    writer.finish()
    before = Session.open(writer.folder).actions()
    assert add_goals(writer.folder, log) == 3
    session = Session.open(writer.folder)
    assert check(writer.folder) == []
    assert [e for e in session.events if isinstance(e, Goal | End)] == [
        Goal(SECOND // 2, "Go to the lantern"),
        End(round(1.9 * SECOND), "success"),
        Goal(2 * SECOND, "Open the door"),
        End(round(4.9 * SECOND), "timeout"),
        Goal(5 * SECOND, "Climb the stairs"),
    ]
    assert np.array_equal(session.actions(), before)
    ends = [(span.goal, span.end) for span in session.spans() if span.goal]
    assert ends == [("Go to the lantern", "success"), ("Open the door", "timeout"), ("Climb the stairs", None)]
    text = (writer.folder / "events.jsonl").read_text()
    add_goals(writer.folder, log)
    assert (writer.folder / "events.jsonl").read_text() == text
