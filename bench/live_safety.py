"""What `python -m bench live` says of safety: keys of an agent that stands still or is killed, layouts, takeovers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from protege.agent.baselines import ConstantPolicy, ScriptedPolicy
from protege.agent.listener import Listener
from protege.agent.stats import LoopStats
from protege.arena import stage
from protege.core.actions import KEYBOARD_12
from protege.core.events import HUMAN
from protege.devices import x11_keys
from protege.devices.places import places_of
from protege.devices.x11_keys import XKeyboard
from protege.errors import ProtegeError, UserError
from protege.evaluation.figures import Figure

KEYS: Final = KEYBOARD_12.pressable
HELD: Final = ("w", "left")
LAYOUTS: Final = ("us", "fr", "ru", "de")
TOGGLE: Final = "p"
RELEASED_MS: Final = 200.0
WAIT_S: Final = 10.0

_AGENT: Final = """
import re
from protege.agent.baselines import ConstantPolicy
from protege.agent.run import PlayOptions, play_game
class Policy(ConstantPolicy):
    asked = 0
    def predict(self, frame, goal):
        self.asked += 1
        if {busy} and self.asked == 10:
            print("busy", flush=True)
            re.match("(a+)+$", "a" * 28 + "b")  # holds the interpreter for many seconds
        return super().predict(frame, goal)
options = PlayOptions(goal="Go", window={title!r}, countdown_s=0, record=False)
play_game(options, Policy(frozenset({held!r})), lambda text: None)
"""


def released(title: str, kills: int, freezes: int, say: Callable[[str], None]) -> list[Figure]:
    """Milliseconds until the X server has the keys up of an agent that is killed, with its group, stopped, or busy."""
    say(f"{kills} kills, {kills} of the group, {freezes} freezes, {kills} busy interpreters")
    worst = {
        "killed_release_ms": [_after(title, lambda agent: agent.kill()) for _ in range(kills)],
        "group_killed_release_ms": [_after(title, _kill_tree) for _ in range(kills)],
        "frozen_release_ms": _frozen(title, freezes),
        "busy_release_ms": [_after(title, _await_busy, busy=True) for _ in range(kills)],
    }
    return [
        Figure(key, round(max(ms), 1), f"{max(ms):.0f} ms at most of {len(ms)}", "≤ 200 ms", max(ms) <= RELEASED_MS)
        for key, ms in worst.items()
        if ms
    ]


@contextmanager
def _agent(title: str, busy: bool = False) -> Iterator["subprocess.Popen[str]"]:
    """An agent in a session of its own that holds two keys."""
    code = _AGENT.format(title=title, busy=busy, held=HELD)
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as agent:
        try:
            stage.wait_for(lambda: x11_keys.keys_down(KEYS) == set(HELD), agent)
            yield agent
        finally:
            agent.kill()


def _after(title: str, happens: Callable[[Any], None], busy: bool = False) -> float:
    with _agent(title, busy) as agent:
        happens(agent)
        return _until_up()


def _kill_tree(agent: "subprocess.Popen[str]") -> None:
    """The agent, its group, and every process that says it is its child."""
    for told in Path(f"/proc/{agent.pid}/task").glob("*/children"):
        for child in told.read_text(encoding="utf-8").split():
            os.kill(int(child), signal.SIGKILL)
    os.killpg(agent.pid, signal.SIGKILL)


def _await_busy(agent: "subprocess.Popen[str]") -> None:
    assert agent.stdout is not None
    agent.stdout.readline()


def _frozen(title: str, times: int) -> list[float]:
    found = []
    if not times:
        return found
    with _agent(title) as agent:
        for _ in range(times):
            stage.wait_for(lambda: x11_keys.keys_down(KEYS) == set(HELD), agent)
            os.kill(agent.pid, signal.SIGSTOP)
            found.append(_until_up())
            os.kill(agent.pid, signal.SIGCONT)
    return found


def _until_up() -> float:
    start = time.perf_counter()
    while x11_keys.keys_down(KEYS):
        if time.perf_counter() - start > WAIT_S:
            raise ProtegeError(f"keys are still down after {WAIT_S:g} s")
    return (time.perf_counter() - start) * 1e3


def choose_layout(name: str) -> None:
    """UserError without setxkbmap."""
    if shutil.which("setxkbmap") is None:
        raise UserError("setxkbmap is missing, which changes the keyboard's layout; install the package x11-xkb-utils")
    subprocess.run(["setxkbmap", name], check=True, timeout=10)


class Who(Listener):
    """Keeps who plays."""

    def __init__(self) -> None:
        self.by = ""

    def control(self, t_ns: int, by: str) -> None:
        self.by = by


def layouts(window: Any, playing: Callable[..., Any], seconds: float, say: Callable[[str], None]) -> list[Figure]:
    """Keys outside the space that reach a window while the layout changes, and takeovers under each layout.

    window: the target, which keeps the keycodes that reach it; playing: the loop in a thread, see `live`.
    """
    say(f"{', '.join(LAYOUTS)} for {seconds:g} s in all, then {len(KEYS) + 1} takeovers under each")
    person = XKeyboard()
    ours = {code for code, place in person.places.items() if place in [places_of(key)[0] for key in KEYS]}
    try:
        reached = _over_layouts(window, playing, seconds)
        taken = {name: _takeovers(person, playing, name) for name in LAYOUTS}
    finally:
        choose_layout("us")
        person.close()
    foreign, wanted = sum(code not in ours for code in reached), len(KEYS) + 1
    worst = min(taken.values())
    told = ", ".join(f"{name} {count}" for name, count in taken.items())
    return [
        Figure("foreign_keys", foreign, f"{foreign} of {len(reached)} key events", "0", foreign == 0 and bool(reached)),
        Figure("taken_over", worst, f"{told} of {wanted}", f"{wanted} under each layout", worst == wanted),
    ]


def _over_layouts(window: Any, playing: Callable[..., Any], seconds: float) -> list[int]:
    """The keycodes that reach the window while the layout changes once a second."""
    reached: list[int] = []
    policy = ScriptedPolicy([frozenset((key,)) for key in KEYS])
    with playing(policy, seconds, [], LoopStats()):
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            choose_layout(LAYOUTS[number % len(LAYOUTS)])
            number += 1
            time.sleep(min(1.0, seconds / len(LAYOUTS)))
            reached += window.codes()
    return [*reached, *window.codes()]


def _takeovers(person: XKeyboard, playing: Callable[..., Any], name: str) -> int:
    """How many of a person's keys, and the hot key, take over under a layout."""
    choose_layout(name)
    who = Who()
    taken = 0
    with playing(ConstantPolicy(), None, [who], LoopStats()) as stop:
        for key in (*KEYS, TOGGLE):
            if not _within(lambda: x11_keys.keys_down(KEYS) == {"w"}, WAIT_S):
                raise ProtegeError(f"the agent does not play under the layout {name}")
            _tap(person, key)
            taken += _within(lambda: who.by == HUMAN and not x11_keys.keys_down(KEYS))
            if who.by == HUMAN:
                _tap(person, TOGGLE)
        stop()
    return taken


def _tap(person: XKeyboard, key: str) -> None:
    person.press(places_of(key)[0])
    time.sleep(0.05)
    person.release(places_of(key)[0])


def _within(condition: Callable[[], bool], seconds: float = 1.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
