"""What a run shows while it goes on: a status line, and with --show the picture the agent sees with its keys on it."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from protege.agent.listener import Listener, Slot
from protege.agent.stats import LoopStats
from protege.core.actions import NONE, Action, ActionSpace
from protege.core.events import HUMAN
from protege.core.files import write_json
from protege.core.frame import Frame
from protege.core.status_line import StatusLine
from protege.core.text import one_line

LIVE_NS: Final = 250_000_000
LOG_NS: Final = 10_000_000_000
PICTURE_NS: Final = 200_000_000


class Status(Listener):
    """Rewrites one line of a terminal; on anything else prints one every ten seconds. Events get lines of their own."""

    def __init__(self, space: ActionSpace, stats: LoopStats, out: TextIO = sys.stderr) -> None:
        self._space = space
        self._stats = stats
        self._line = StatusLine(out)
        self._due_ns = 0
        self._start_ns: int | None = None
        self._waiting = ""

    def slot(self, slot: Slot) -> None:
        self._start_ns = slot.t_ns if self._start_ns is None else self._start_ns
        if slot.t_ns < self._due_ns and slot.waiting == self._waiting:
            return
        self._waiting = slot.waiting
        self._due_ns = slot.t_ns + (LIVE_NS if self._line.live else LOG_NS)
        self._line.show(slot_text(slot, self._space) + "  " + self._stats.line((slot.t_ns - self._start_ns) / 1e9))

    def control(self, t_ns: int, by: str) -> None:
        self.say("you play" if by == HUMAN else "the agent plays")

    def goal(self, t_ns: int, goal: str) -> None:
        self.say(f"goal: {goal}")

    def goal_ended(self, t_ns: int, goal: str, how: str) -> None:
        self.say(f"the model thinks it is done: {goal}" if how == "success" else f"goal ended ({how}): {goal}")

    def say(self, text: str) -> None:
        """A line of its own; goals come from outside."""
        self._line.say(one_line(text))

    def close(self) -> None:
        self._line.close()


def slot_text(slot: Slot, space: ActionSpace) -> str:
    """One line: who plays, the keys now, and what is planned next."""
    if slot.waiting:
        return f"[{slot.waiting}]"
    steps = () if slot.prediction is None else slot.prediction.plan.steps[slot.step + 1 :]
    plan = " ".join(told(space, step) for step in steps) or "-"
    return f"keys: {told(space, slot.action)}  then: {plan}"


def told(space: ActionSpace, action: Action) -> str:
    """An action for people: its keys, then the degrees that the view turns right and down."""
    if space.look is None:
        return space.spell(action)
    turned = (f"{count * space.look.degrees_per_count:+.0f}°" for count in space.counts(action))
    return f"{'+'.join(sorted(space.only(action))) or NONE}({','.join(turned)})"


class Picture(Listener):
    """Keeps `path` showing the newest frame with the keys drawn on it; any image viewer that reloads can show it.

    Beside it `live.json` says what is held, planned and waited for, and a file `live.stop` ends the run as Ctrl-C does.
    """

    def __init__(self, path: Path, space: ActionSpace, stats: LoopStats | None = None) -> None:
        self._path = path
        self._space = space
        self._stats = stats
        self._since_ns: int | None = None
        self._due_ns = 0
        self._slot: Slot | None = None

    def slot(self, slot: Slot) -> None:
        self._slot = slot

    def frame(self, frame: Frame) -> None:
        if self._slot is None or frame.t_ns < self._due_ns:
            return
        self._due_ns = frame.t_ns + PICTURE_NS
        self._since_ns = frame.t_ns if self._since_ns is None else self._since_ns
        self._tell(self._slot, (frame.t_ns - self._since_ns) / 1e9)
        beside = self._path.with_suffix(".part")
        picture = Image.fromarray(drawn(frame.rgb, slot_text(self._slot, self._space), self._slot.goal or ""))
        with suppress(PermissionError):  # Windows: a viewer is just reading it, and the run waits for nobody
            picture.save(beside, "JPEG", quality=80)
            beside.replace(self._path)

    def _tell(self, slot: Slot, elapsed_s: float) -> None:
        if self._path.with_suffix(".stop").exists():
            raise KeyboardInterrupt
        steps = () if slot.prediction is None else slot.prediction.plan.steps[slot.step + 1 :]
        now = {
            "goal": slot.goal or "",
            "keys": self._space.spell(slot.action),
            "plan": [self._space.spell(step) for step in steps],
            "by": slot.by,
            "waiting": slot.waiting,
            "numbers": "" if self._stats is None else self._stats.line(elapsed_s),
        }
        with suppress(PermissionError):
            write_json(self._path.with_suffix(".json"), now)


def drawn(rgb: NDArray[np.uint8], keys: str, goal: str) -> NDArray[np.uint8]:
    """The picture with two lines of text on a dark band at its foot."""
    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    top = image.height - 30
    draw.rectangle([0, top, image.width, image.height], fill=(0, 0, 0))
    draw.text((4, top + 2), goal, fill=(255, 255, 255))
    draw.text((4, top + 16), keys, fill=(255, 220, 80))
    return np.asarray(image)
