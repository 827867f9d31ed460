"""Recording on Windows: real processes, windows, keys and files."""

import time

import pytest

from protege.core.events import Focus, Key, Pause
from protege.core.session import Session, check, repair
from tests.windows.conftest import until

TITLE = "Игра «Ёж»"


@pytest.fixture
def record(protege, game, tmp_path):
    """`protege record` of a game that has the focus, in a folder with letters of another code page."""
    target = game(TITLE)
    out = tmp_path / "Записи ゲーム"

    def start(*args):
        command = protege("record", "--window", TITLE, "--start-now", "--out", out, "--name", "уровень 1", *args)
        until(lambda: list(out.glob("*/frames/*.jpg")) or command.process.poll() is not None, 40)
        assert command.process.poll() is None, command.err
        return command, target, out / "уровень 1"

    return start


def keys(session):
    return [(event.key, event.down) for event in session.events if isinstance(event, Key)]


def test_keys_and_pictures_are_recorded_by_their_place_whatever_the_layout(record, hands):
    hands.layout("fr")
    try:
        command, target, folder = record("--stop-after", "4")
        hands.tap("w", "a", "left", "space", seconds=0.1)
        hands.press("w", "ctrl_l")  # crouch-walking: with Ctrl held, letters have other texts
        hands.tap("d", seconds=0.1)
        hands.release("w", "ctrl_l")
        assert command.join() == 0, command.err
    finally:
        hands.layout("us")
    session = Session.open(folder)
    assert not check(folder)
    pressed = [key for key, down in keys(session) if down]
    assert pressed == ["w", "a", "left", "space", "w", "c", "d"]
    assert sorted(keys(session)) == sorted([(key, down) for key in pressed for down in (True, False)])
    assert session.info.window is not None
    assert session.info.window["title"] == TITLE
    assert len(target.presses()) == 14
    assert "verdict" in command.out


def test_what_is_typed_elsewhere_is_not_recorded(record, game, hands):
    command, target, folder = record("--stop-after", "3")
    other = game("Elsewhere", place=(500, 80, 300, 200))
    time.sleep(0.5)
    hands.tap("d")
    until(lambda: len(other.presses()) == 2)
    time.sleep(0.5)
    target.focus()
    time.sleep(0.5)
    hands.tap("w", seconds=0.1)
    assert command.join() == 0, command.err
    session = Session.open(folder)
    assert [key for key, down in keys(session) if down] == ["w"]
    assert any(isinstance(event, Focus) and not event.focus for event in session.events)
    assert any(isinstance(event, Pause) and event.pause == "focus" for event in session.events)


def test_a_killed_recorder_leaves_a_recording_that_can_be_repaired(record, hands):
    command, _, folder = record()
    hands.tap("w")
    until(lambda: len(list(folder.glob("frames/*.jpg"))) > 5)
    command.process.kill()
    command.join()
    assert check(folder)
    repair(folder)
    assert not check(folder)
    assert len(Session.open(folder)) > 4


def test_the_window_that_is_closed_ends_the_recording_in_words(record):
    command, target, folder = record()
    target.close()
    assert command.join() == 1
    assert f"the window '{TITLE}' was closed" in command.err
    assert not check(folder)


@pytest.mark.parametrize("name", ["nul", "CON", "com1.txt", "level.", "level "])
def test_a_name_that_windows_keeps_for_itself_is_refused(protege, target, tmp_path, name):
    command = protege("record", "--window", target.title, "--start-now", "--name", name, "--out", tmp_path / "out")
    assert command.join() == 2
    assert "expected a short folder name" in command.err
    assert command.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
