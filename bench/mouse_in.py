"""Recording the mouse: is every count in the recording, and what does it cost beside a recorder without a mouse?"""

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from bench.record_cost import percent_of_a_core
from protege.arena import stage
from protege.core.session import Session
from protege.devices.pointer import XPointer
from protege.evaluation.figures import Figure

HZ: Final = 125
"""How often a USB mouse tells its motion, unless it is made for games."""
FARTHEST: Final = 12
"""Counts of one such motion."""
SETTLE_S: Final = 0.5
MOST_RATIO: Final = 1.3
_KEYS: Final = "keys: [w, s, a, d, up, down, left, right, c, space, enter]\n"
_MOUSE: Final = "mouse: {look: true, buttons: [left, right], wheel: true}\n"


def run(seconds: float, say: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """Both figures, of two recorders of one window at the same time, one with the mouse and one without."""
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name, stage.own_display():
        folder = Path(name)
        games = {"keys": _KEYS, "mouse": _KEYS + _MOUSE}
        for game, text in games.items():
            (folder / f"{game}.yaml").write_text(text, encoding="utf-8")
        say(f"record: {seconds:g} s at 10 fps, with the mouse and without, moved {HZ} times a second")
        with (
            stage.arena_player(folder / "player", stage.SEED),
            stage.process(*stage.recorder(folder, "keys", "--game", str(folder / "keys.yaml"))) as without,
            stage.process(*stage.recorder(folder, "mouse", "--game", str(folder / "mouse.yaml"))) as recorder,
        ):
            lines = folder / "mouse" / "frames.jsonl"
            stage.wait_for(lambda: lines.exists() and lines.stat().st_size > 0, recorder)
            with _moving() as sent:
                percent = percent_of_a_core({"mouse": recorder.pid, "keys": without.pid}, seconds)
            time.sleep(SETTLE_S)  # some frames more, so that the last motion is in one
            stage.stop(recorder)
            stage.stop(without)
        recorded = Session.open(folder / "mouse").motion().sum(axis=0)
    lost = int(np.abs(np.array(sent.counts) - recorded).sum())
    ratio = percent["mouse"] / percent["keys"]
    text = f"{percent['mouse']:.1f} % of a core, {ratio:.2f} times the {percent['keys']:.1f} % without the mouse"
    return [
        Figure("motion_lost", lost, f"{lost} of {sent.path} counts in {sent.times} motions", "0", lost == 0),
        Figure("recorder_cpu_percent", round(percent["mouse"], 2), text, f"<= {MOST_RATIO} times", ratio <= MOST_RATIO),
    ]


class _Sent:
    """counts: the sums right and down; path: of all motions, whatever their direction; times: how many there were."""

    def __init__(self) -> None:
        self.counts = [0, 0]
        self.path = 0
        self.times = 0


@contextmanager
def _moving() -> Iterator[_Sent]:
    """A hand moves the mouse all the time; afterwards what it sent is known."""
    sent, stop = _Sent(), threading.Event()

    def work() -> None:
        rng, pointer = random.Random(0), XPointer()
        due = time.perf_counter()
        while not stop.is_set():
            dx, dy = rng.randint(-FARTHEST, FARTHEST), rng.randint(-FARTHEST, FARTHEST)
            pointer.move(dx, dy)
            sent.counts = [sent.counts[0] + dx, sent.counts[1] + dy]
            sent.path += abs(dx) + abs(dy)
            sent.times += 1
            due = max(due + 1 / HZ, time.perf_counter())
            time.sleep(max(0.0, due - time.perf_counter()))
        pointer.close()

    thread = threading.Thread(target=work, name="hand")
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()
