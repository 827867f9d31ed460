"""The scripted player on a real X server: its keys reach only its own window, and a kill leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from protege.arena import stage
from protege.core.actions import KEYBOARD_12
from protege.devices.windows import find_window
from protege.devices.x11 import XWindow, open_display
from protege.devices.x11_keys import keys_down

pytestmark = pytest.mark.usefixtures("xvfb")
KEYS = KEYBOARD_12.pressable


def until(condition, seconds=15.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    pytest.fail(f"did not happen within {seconds} s")


@contextmanager
def other_window():
    """A window of somebody else, shown; yields its display and itself."""
    from Xlib import X

    display = open_display()
    screen = display.screen()
    window = screen.root.create_window(900, 10, 100, 80, 0, screen.root_depth, event_mask=X.KeyPressMask)
    window.set_wm_name("a letter to my bank")
    window.map()
    display.sync()
    yield display, window
    window.destroy()
    display.sync()
    display.close()


def presses(display):
    """How many key presses a window's owner has got since the last time."""
    display.sync()
    return sum(display.next_event().type == 2 for _ in range(display.pending_events()))


def test_while_another_window_has_the_focus_not_one_key_reaches_it(tmp_path):
    with other_window() as (display, window), stage.arena_player(tmp_path, 5_000):
        until(lambda: keys_down(KEYS))
        give_focus(XWindow(window.id, "a letter to my bank"))
        until(lambda: not keys_down(KEYS), 1)
        presses(display)  # what was pressed before it noticed
        for _ in range(20):
            time.sleep(0.1)
            assert not keys_down(KEYS)
        assert presses(display) == 0
        give_focus(find_window(stage.TITLE))
        until(lambda: keys_down(KEYS))
    assert not keys_down(KEYS)


def give_focus(window):
    window.raise_and_focus()
    window.close()


PARENT = """
import sys, time
from pathlib import Path
from protege.arena import stage
folder = Path(sys.argv[1])
with stage.arena_player(folder, 5000), stage.process(*stage.recorder(folder, "s", "--stop-after", "60")):
    print("playing", flush=True)
    time.sleep(60)
"""


@contextmanager
def playing(folder):
    """A program that has a player and a recorder running, and all of its processes; they are gone afterwards."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True)
    everyone = {}
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "playing\n"
        until(lambda: (folder / "s" / "session.json").exists() and keys_down(KEYS))
        everyone = descendants(parent.pid)
        yield parent, everyone
    finally:
        for pid in [parent.pid, *everyone]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        parent.communicate()


def processes():
    """(pid, parent, command line) of every process that is not dead."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                yield int(entry.name), int(parent), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()


def descendants(pid):
    found, all_of_them = {}, list(processes())
    layer = {pid}
    while layer:
        below = {child: command for child, parent, command in all_of_them if parent in layer}
        found |= below
        layer = set(below)
    return found


def named(everyone, part):
    (pid,) = [pid for pid, command in everyone.items() if part in command and "/bin/sh" not in command]
    return pid


def alive(everyone):
    return {pid: command for pid, _, command in processes() if everyone.get(pid) == command}


@pytest.mark.parametrize("killed", ["the parent", "protege.arena.player", "protege.arena.window", "vizdoom/vizdoom "])
def test_kill_9_anywhere_leaves_no_process_of_the_game_and_no_key_down(tmp_path, killed):
    with playing(tmp_path) as (parent, everyone):
        assert len(everyone) >= 4
        os.kill(parent.pid if killed == "the parent" else named(everyone, killed), signal.SIGKILL)
        game = {p: c for p, c in everyone.items() if killed == "the parent" or "protege.cli" not in c}
        until(lambda: not alive(game))
        assert keys_down(KEYS) == set()


def test_the_player_ends_after_its_time(tmp_path):
    with stage.arena_player(tmp_path, 5_000, seconds=6.0) as player:
        assert player.wait(20) == 0
    assert not keys_down(KEYS)


WAYS = {
    "end": "",
    "exit of a worker process": "import atexit; atexit._run_exitfuncs(); os._exit(0)",
    "exit without anything": "os._exit(0)",
    "kill": "os.kill(os.getpid(), 9)",
    "collection": "import time; del engine; time.sleep(60)",
}


@pytest.mark.parametrize("way", WAYS)
def test_an_engine_that_nobody_closes_ends_with_its_owner_and_takes_its_files_along(tmp_path, way):
    code = (
        "import os\nfrom protege.arena.engine import Engine\nfrom protege.arena.rooms import layout\n"
        "engine = Engine((160, 120))\nengine.load(layout(5000))\nprint(engine.pid, flush=True)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", code + WAYS[way]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        until(lambda: pid not in {found for found, _, _ in processes()})
        until(lambda: not list(tmp_path.glob("protege-arena-*")))
        owner.kill()
