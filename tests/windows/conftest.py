"""Real windows, keys and processes on Windows; elsewhere nothing in this folder is collected."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from protege.devices.places import PLACES
from protege.devices.win32 import user32
from protege.devices.win32_windows import windows

SHOWN_BEHIND = 7
if sys.platform != "win32":
    collect_ignore_glob = ["*.py"]


def until(true, seconds=20.0, about=lambda: ""):
    """Wait for something to become true; what it returned. about: more to say if it does not."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"waited in vain; {about()}"
        time.sleep(0.02)
    return found


class Hands:
    """A person's hands on the real keyboard: keys by their place, pressed in the X server that wine runs on."""

    def __init__(self):
        self._socket = socket.create_connection(("127.0.0.1", int(os.environ["HANDS_PORT"])))
        self._file = self._socket.makefile("rwb")
        self.held: set[int] = set()

    def _ask(self, *words):
        self._file.write(" ".join(map(str, words)).encode() + b"\n")
        self._file.flush()
        assert self._file.readline() == b"ok\n"

    def press(self, *ids):
        for code in map(_evdev, ids):
            self._ask("down", code)
            self.held.add(code)

    def release(self, *ids):
        for code in map(_evdev, ids):
            self._ask("up", code)
            self.held.discard(code)

    def move(self, dx, dy):
        """The mouse, by counts."""
        self._ask("move", dx, dy)

    def click(self, *buttons):
        """Buttons of the mouse by X11's numbers, one after the other."""
        for button in buttons:
            self._ask("press", button)
            self._ask("let", button)

    def tap(self, *ids, seconds=0.05):
        for key in ids:
            self.press(key)
            time.sleep(seconds)
            self.release(key)

    def layout(self, name):
        self._ask("layout", name)

    def close(self):
        for code in tuple(self.held):
            self._ask("up", code)
        self._file.close()
        self._socket.close()


def _evdev(id_):
    return next(place.evdev for place in PLACES if place.id == id_)


class Game:
    """`game.py` as a process of its own, and what it logged."""

    def __init__(self, folder, title="Protege Target", place=()):
        self.title = title
        self.log = folder / f"game{len(list(folder.glob('game*')))}.jsonl"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("game.py")), title, str(self.log), *map(str, place)]
        )
        self.window = until(self.find)
        until(lambda: {"ready": True} in self.lines() and self.window.state().focused)

    def find(self):
        assert self.process.poll() is None, "the window's program has ended"
        return next((window for window in windows() if window.title == self.title), None)

    def lines(self):
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def presses(self):
        """(scan code, extended, down) of each true change."""
        return [(k["scan"], k["extended"], k["down"]) for k in self.lines() if "vk" in k and not k["repeat"]]

    def held(self):
        """The keys, as (scan code, extended), that are down as far as the game knows; none after it lost the focus."""
        down = set()
        for line in self.lines():
            if "vk" in line:
                (down.add if line["down"] else down.discard)((line["scan"], line["extended"]))
            elif line.get("focus") is False:
                down.clear()
        return down

    def focus(self):
        user32.SetForegroundWindow(self.window.id)
        until(lambda: self.window.state().focused)

    def close(self):
        user32.PostMessageW(self.window.id, 0x10, 0, 0)
        self.process.wait(20)


class Command:
    """`protege …` as a process of its own; what it says is collected while it runs."""

    def __init__(self, *args, **options):
        env = {**os.environ, **options.pop("env", {})}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "protege.cli", *map(str, args)],
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": env, **options},
        )
        self.said = {"out": b"", "err": b""}
        self._threads = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self.said]
        for thread in self._threads:
            thread.start()

    def _read(self, name):
        stream = getattr(self.process, f"std{name}")
        while stream is not None and (line := stream.readline()):
            self.said[name] += line

    @property
    def out(self):
        return self.said["out"].decode("utf-8")

    @property
    def err(self):
        return self.said["err"].decode("utf-8")

    def join(self, seconds=60):
        """Its exit code."""
        code = self.process.wait(seconds)
        for thread in self._threads:
            thread.join(10)
        return code


def console_behind():
    """Options of `subprocess.Popen` for a console of its own, behind the other windows."""
    if sys.platform != "win32":
        return {}
    startup = subprocess.STARTUPINFO(dwFlags=subprocess.STARTF_USESHOWWINDOW, wShowWindow=SHOWN_BEHIND)
    return {"creationflags": subprocess.CREATE_NEW_CONSOLE, "startupinfo": startup}


@pytest.fixture
def protege(tmp_path):
    made = []

    def start(*args, **options):
        made.append(Command(*args, **{"cwd": tmp_path, **options}))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.join()
        for stream in (one.process.stdin, one.process.stdout, one.process.stderr):
            stream.close()


@pytest.fixture
def hands():
    found = Hands()
    yield found
    found.close()


@pytest.fixture
def game(tmp_path):
    made = []

    def start(*args, **options):
        made.append(Game(tmp_path, *args, **options))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.close()


@pytest.fixture
def target(game):
    """A game that has the focus."""
    return game()
