"""`protege record --game` with a mouse, on a real X server: what is moved is what is stored, to the count."""

import time

import pytest

from protege.core.events import Held, Key, Motion, Pause
from protege.core.session import check
from protege.devices.pointer import XPointer
from tests.devices.hands import GameWindow
from tests.recorder.test_live import Recording, tap, until

TITLE = "Looking Game"
PROFILE = f"""
window: "{TITLE}"
keys: [w, j]
mouse: {{look: true, buttons: [left], wheel: true, counts_per_turn: 2700}}
fps: 20
size: [64, 48]
"""


@pytest.fixture
def pointer(xvfb):
    made = XPointer()
    yield made
    made.release_all()
    made.close()


@pytest.fixture
def windows(xvfb):
    made = [GameWindow(TITLE), GameWindow("Elsewhere", (600, 100, 100, 100))]
    yield made
    for window in made:
        window.close()


@pytest.fixture
def recording(windows, tmp_path):
    path = tmp_path / "looking.yaml"
    path.write_text(PROFILE)
    started = Recording(tmp_path / "raw", "--game", str(path), "--start-now")
    yield started
    started.process.kill()
    started.process.communicate()


def swing(pointer, steps, dx, dy):
    """Move as a hand does, 125 times a second; returns the counts."""
    for _ in range(steps):
        pointer.move(dx, dy)
        time.sleep(0.008)
    return dx * steps, dy * steps


def motion(recording):
    path = recording.out / "s" / "events.jsonl"
    return path.read_text().count('"dx"') if path.exists() else 0


def test_what_is_moved_in_the_game_while_recording_is_stored_to_the_count_and_nothing_else(
    windows, recording, pointer, tmp_path
):
    game, other = windows
    game.focus()
    recording.wait_for_frames(3)
    first = swing(pointer, 60, 3, -2)
    pointer.hold(frozenset(("left",)))
    until(lambda: motion(recording) > 20, 5)
    pointer.hold(frozenset(("left", "right")))
    pointer.release_all()
    time.sleep(0.3)
    other.focus()
    time.sleep(0.3)
    swing(pointer, 20, 50, 50)
    pointer.hold(frozenset(("left",)))
    pointer.release_all()
    time.sleep(0.2)
    game.focus()
    time.sleep(0.5)
    second = swing(pointer, 60, -7, 5)
    time.sleep(0.3)
    tap("p")
    time.sleep(0.3)
    swing(pointer, 10, 200, 0)
    code, _, err = recording.stop()
    assert code == 0, err
    session = recording.session()
    assert check(session.folder) == []
    assert session.info.to_json()["format_version"] == 2
    assert session.info.space.look is not None
    moved = [event for event in session.events if isinstance(event, Motion)]
    total = [first[0] + second[0], first[1] + second[1]]
    assert [sum(event.dx for event in moved), sum(event.dy for event in moved)] == total
    assert session.motion().sum(axis=0).tolist() == total
    assert [(e.key, e.down) for e in session.events if isinstance(e, Key)] == [
        ("mouse_left", True),
        ("mouse_left", False),
    ]
    assert [type(e) for e in session.events if isinstance(e, Held | Pause)] == [Held, Pause, Held, Pause]
