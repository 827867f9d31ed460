"""Where nobody watches a terminal, a bar is a line every ten seconds, with how long the rest will take."""

from protege.cli import COMMANDS, LONG
from protege.commands.progress import Lines
from protege.core.status_line import SILENT_S


def test_lines_come_every_ten_seconds_and_say_how_long_it_will_take():
    said, now = [], [0.0]
    lines = Lines("samples", said.append, lambda: now[0])
    for done in range(0, 101, 2):
        lines(done, 100)
        now[0] += 1
    assert said == [
        "samples: 20 of 100, about 40 s left",
        "samples: 40 of 100, about 30 s left",
        "samples: 60 of 100, about 20 s left",
        "samples: 80 of 100, about 10 s left",
    ]


def test_what_was_done_before_does_not_make_the_rest_look_quick():
    said, now = [], [0.0]
    lines = Lines("samples", said.append, lambda: now[0])
    lines(90, 100)
    now[0] = 20
    lines(92, 100)
    assert said == ["samples: 92 of 100, about 80 s left"]


def test_every_command_that_nobody_plays_in_is_kept_from_silence():
    assert {"label", "train", "improve", "clone", "controls", "bench", "demo", "score"} <= LONG
    assert {"play", "record", "studio"} & LONG == set()
    assert set(COMMANDS) >= LONG
    assert SILENT_S <= 10
