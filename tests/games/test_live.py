"""Profiles on a real X server: the guided command, recording and playing a small game of our own."""

import json
import threading

import numpy as np
import pytest

from protege.core import Session, encode_jpeg
from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.card import ModelCard
from protege.core.devices import MonotonicClock
from protege.core.events import Held, Key, Pause
from protege.core.session import SessionInfo, SessionWriter
from protege.devices import x11_keys
from protege.devices.keyboard import KeyListener, RealKeys
from protege.devices.places import NAMES, places_of
from protege.devices.pointer import XPointer
from protege.devices.windows import find_window
from protege.errors import UserError
from protege.games.profile import load_game
from protege.games.trial import Played, hear
from tests.devices.hands import GameWindow, Hands

TITLE = "Toy Game"
BUTTONS = frozenset(("mouse_left", "mouse_right"))
CODES = {name: places_of(name)[0].evdev + x11_keys.EVDEV_OFFSET for name in ("j", "k", "l", "esc")}


class Toy:
    """A window whose picture follows j and k, and no other key."""

    def __init__(self):
        self.window = GameWindow(TITLE)
        self.reached = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self):
        while not self._end.wait(0.01):
            heard = self.window.keys()
            for code, down in heard:
                self.reached.append((code, down))
                if code in (CODES["j"], CODES["k"]):
                    colour = 0xFFFFFF if down else 0
                    context = self.window.window.create_gc(foreground=colour)
                    self.window.window.fill_rectangle(context, 0, 0, 320, 240)
                    self.window.display.sync()

    def close(self):
        self._end.set()
        self._thread.join()
        self.window.close()


@pytest.fixture
def hands(xvfb):
    found = Hands()
    yield found
    found.display.close()


@pytest.fixture
def toy(xvfb):
    game = Toy()
    yield game
    game.close()


def down():
    return x11_keys.keys_down(NAMES)


def profile(folder, text="", name="toy"):
    (folder / "games").mkdir(exist_ok=True)
    (folder / "games" / f"{name}.yaml").write_text(f'window: "{TITLE}"\nkeys: [j, k, l]\nnever: [esc]\n{text}')


def test_a_profile_is_made_and_the_game_is_seen_to_obey(toy, run_protege, tmp_path):
    options = ("--window", TITLE, "--keys", "j k l esc", "--yes", "--action", "j=move left", "--goal", "Catch it")
    done = run_protege("game", "new", "toy", *options)
    assert done.returncode == 0, done.stderr
    assert "the picture followed j k\n" in done.stderr
    assert "nothing to be seen of: l" in done.stderr
    assert CODES["esc"] not in {code for code, _ in toy.reached}
    assert down() == set()
    game = load_game(str(tmp_path / "games" / "toy.yaml"))
    assert (game.space.pressable, game.profile.window, game.never) == (("j", "k", "l"), TITLE, {"esc"})
    assert (game.space.movement, game.profile.goals) == ({"j"}, ("Catch it",))
    assert game.path.read_text().count("#") >= 6
    again = run_protege("game", "new", "toy", *options)
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_keys_are_heard_in_the_games_window_only(toy, hands):
    other = GameWindow("Elsewhere", (600, 100, 100, 100))
    window = find_window(TITLE)
    pointer = XPointer()
    try:

        def play():
            for focus, key in ((other, "l"), (toy.window, "k"), (other, "esc"), (toy.window, "j"), (toy.window, "k")):
                focus.focus()
                hands.press(CODES[key])
                pointer.move(10, 0)
                pointer.hold(frozenset(("right" if focus is toy.window else "left",)))
                threading.Event().wait(0.15)
                hands.release(CODES[key])
                pointer.release_all()
                threading.Event().wait(0.05)

        fingers = threading.Thread(target=play)

        def listen(heard):
            fingers.start()
            return KeyListener(NAMES | BUTTONS, heard, motion=True)

        assert hear(window, MonotonicClock(), listen, 2.5, 20) == Played(("k", "j"), ("mouse_right",), 30)
        fingers.join()
    finally:
        pointer.close()
        window.close()
        other.close()


def test_where_no_key_comes_the_guided_command_says_how_to_name_them(toy):
    window = find_window(TITLE)
    with pytest.raises(UserError, match="--keys"):
        hear(window, MonotonicClock(), lambda heard: KeyListener(NAMES, heard), 1, 0.2)
    window.close()


def test_a_game_is_recorded_and_played_with_its_keys_alone(toy, hands, run_protege, tmp_path):
    profile(tmp_path, 'goals: ["Catch it"]\nmouse: {look: true}\nfps: 20\nsize: [64, 48]\n')
    stop = threading.Event()

    def play():
        while not stop.is_set():
            for key in ("j", "esc", "k"):
                hands.press(CODES[key])
                stop.wait(0.1)
                hands.release(CODES[key])

    fingers = threading.Thread(target=play)
    fingers.start()
    try:
        done = run_protege("record", "--game", "toy", "--start-now", "--stop-after", "2", "--name", "s", "--out", "raw")
    finally:
        stop.set()
        fingers.join()
    assert done.returncode == 0, done.stderr
    session = Session.open(tmp_path / "raw" / "s")
    assert (session.info.space.name, session.info.space.pressable) == ("toy", ("j", "k", "l"))
    assert (session.info.frame_hz, session.info.frame_size) == (20, (64, 48))
    events = (session.folder / "events.jsonl").read_text()
    assert '"j"' in events
    assert "esc" not in events
    toy.reached.clear()
    played = run_protege(
        *("play", "--game", "toy", "--model", "scripted", "--countdown", "0", "--max-minutes", "0.05", "--out", "runs")
    )
    assert played.returncode == 0, played.stderr
    assert CODES["j"] in {code for code, pressed in toy.reached if pressed}
    assert down() == set()
    run = Session.open(next((tmp_path / "runs").iterdir()))
    assert run.info.space.pressable == ("j", "k", "l")
    assert "Catch it" in (run.folder / "events.jsonl").read_text()


def test_a_model_of_another_game_is_refused_before_a_key_is_pressed(toy, run_protege, tmp_path):
    profile(tmp_path)
    (tmp_path / "model").mkdir()
    ModelCard("vision", "base", KEYBOARD_12).save(tmp_path / "model")
    toy.reached.clear()
    done = run_protege("play", "--game", "toy", "--model", "model", "--goal", "Go", "--countdown", "0")
    assert done.returncode == 2
    assert "only the game toy has: j k l" in done.stderr
    assert done.stderr.count("\n") == 1
    assert toy.reached == []


def test_a_key_that_is_never_pressed_is_not_pressed_though_the_space_has_it(toy):
    keys = RealKeys(ActionSpace("X", ("j", "k", "none")), never=frozenset("k"))
    try:
        keys.hold(frozenset("jk"))
        assert down() == {"j"}
        assert keys.held == {"j"}
    finally:
        keys.close()


def test_the_doctor_looks_at_the_games_window_and_keys(toy, run_protege, tmp_path):
    profile(tmp_path)
    done = run_protege("game", "check", "toy")
    assert done.returncode == 0, done.stdout
    assert f"{TITLE}, 320x240" in done.stdout
    assert "each of the 3 keys was pressed" in done.stdout
    assert "mouse" not in done.stdout
    profile(tmp_path, "mouse: {look: true, buttons: [left], counts_per_turn: 2700}\n")
    done = run_protege("game", "check", "toy")
    assert done.returncode == 0, done.stdout
    assert "each of the 3 keys was pressed" in done.stdout
    assert "turns the view, 2700 counts for a whole turn\n" in done.stdout
    assert "it was moved by one count and heard" in done.stdout
    assert "toy" in run_protege("game", "list").stdout
    assert json.loads(json.dumps(load_game(str(tmp_path / "games" / "toy.yaml")).space.to_json()))["keys"][0] == "j"


def test_a_recording_is_replayed_in_its_games_window_without_what_is_never_pressed(toy, run_protege, tmp_path):
    profile(tmp_path)
    space = load_game(str(tmp_path / "games" / "toy.yaml")).space
    period = 10**8
    info = SessionInfo(space=space, frame_hz=10, frame_size=(32, 24))
    with SessionWriter(tmp_path / "s", info) as writer:
        for i in range(6):
            writer.frame(i * period, encode_jpeg(np.zeros((24, 32, 3), np.uint8)))
        writer.event(Held(0, frozenset()))
        for i, key in enumerate("jk"):
            writer.event(Key((1 + 2 * i) * period, key, True))
            writer.event(Key((2 + 2 * i) * period, key, False))
        writer.event(Pause(6 * period, "stop"))
        writer.finish()
    toy.reached.clear()
    done = run_protege("replay", "s", "--game", "toy", "--countdown", "0")
    assert done.returncode == 0, done.stderr
    assert [code for code, down in toy.reached if down] == [CODES["j"], CODES["k"]]
    (tmp_path / "games" / "other.yaml").write_text(f'window: "{TITLE}"\nkeys: [j, k]\nnever: [l]\n')
    toy.reached.clear()
    refused = run_protege("replay", "s", "--game", "other", "--countdown", "0")
    assert refused.returncode == 2
    assert "only the recording s has: l" in refused.stderr
    assert toy.reached == []
