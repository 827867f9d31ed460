"""Post-processing of predictions into what is held and pressed: hysteresis, smoothing, cooldowns, modes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from protege.controls.files import PostProcessing
from protege.controls.metrics import Floats, Predictions, Thresholds
from protege.controls.tables import CONTROLS, HEADS, NAMES, SCREEN_HEADS, head_names

COOLDOWN_S: Final = 0.3
"""Between two presses of the same control: a gesture is seen in several frames."""
MIDDLE: Final = (0.5, 0.5)

KINDS: Final = {control.name: control.kind for control in CONTROLS}
SCREEN_ONLY: Final = frozenset(name for head in SCREEN_HEADS for name in head_names(head))
GAMEPLAY_ONLY: Final = frozenset(NAMES) - SCREEN_ONLY - {"open_inventory"}
"""What is let go of when a screen opens; what belongs to screens, when it closes. Opening them belongs to both."""


def of_logits(action: Floats, look: Floats, hotbar: Floats, cursor: Floats, inventory: Floats) -> Predictions:
    """The predictions for one frame, (n,) of each head, from the model's outputs: logits of all but look and cursor."""
    return Predictions(_sigmoid(action), look, _softmax(hotbar), cursor, _sigmoid(inventory))


@dataclass(frozen=True)
class ControlOutput:
    """What to do now. held: controls that are held; pressed: those to press once; look: yaw and pitch in [-1, 1];
    slot: the hotbar slot (0 to 8) to change to, None almost always; cursor: where it is, only while a screen is open.
    """

    screen_open: bool = False
    held: frozenset[str] = frozenset()
    pressed: frozenset[str] = frozenset()
    look: tuple[float, float] = (0.0, 0.0)
    slot: int | None = None
    cursor: tuple[float, float] | None = None

    @property
    def vector(self) -> Floats:
        """(28,) as a recorder would have written it: the next frames' history."""
        controls = np.zeros(len(CONTROLS), dtype=np.float32)
        for name in self.held | self.pressed:
            controls[NAMES.index(name)] = 1
        controls[HEADS["look"]] = self.look
        if self.slot is not None:
            controls[HEADS["hotbar"][self.slot]] = 1
        if self.cursor is not None:
            controls[HEADS["cursor"]] = self.cursor
        return controls


@dataclass
class PostProcessor:
    """Turns predictions into what is held and pressed, frame by frame. One per game; it remembers what is on."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    settings: PostProcessing = field(default_factory=PostProcessing)

    def __post_init__(self) -> None:
        actions = zip(head_names("action"), self.thresholds.action, strict=True)
        clicks = zip(head_names("inventory"), self.thresholds.inventory, strict=True)
        self._limits = dict([*actions, *clicks])
        self.reset()

    def reset(self) -> None:
        """Nothing is on, the cursor is in the middle, the slot is unknown."""
        self._on: set[str] = set()
        self._waiting: set[str] = set()
        self._pressed_s: dict[str, float] = {}
        self._screen_open = False
        self._slot: int | None = None
        self._seen_slot: int | None = None
        self._let_go()

    def _let_go(self) -> None:
        self._smooth = self._look = (0.0, 0.0)
        self._cursor: tuple[float, float] = MIDDLE

    def step(self, said: Predictions, screen_open: bool, slot: int | None, time_s: float) -> ControlOutput:
        """What to do about one frame.

        screen_open and slot: as the game says (slot None if it does not say); time_s: of a clock that goes forward.
        """
        if screen_open != self._screen_open:
            other = GAMEPLAY_ONLY if screen_open else SCREEN_ONLY
            self._on -= other
            self._waiting -= other
            self._screen_open = screen_open
            self._let_go()
        # Only a change in the game counts: a slot that we chose shows in its state some frames later
        if slot is not None and slot != self._seen_slot:
            self._slot = self._seen_slot = slot
        names, values = self._asked(said)
        for name, value in zip(names, values, strict=True):
            self._switch(name, float(value))
        pressed = self._press(time_s)
        held = frozenset(name for name in self._on if KINDS[name] == "held")
        if screen_open:
            self._cursor = _blend(self._cursor, said.cursor, self.settings.cursor_ema, 0.0)
            return ControlOutput(True, held, pressed, cursor=self._cursor)
        return ControlOutput(False, held, pressed, self._turn(said.look), self._choose(said.hotbar))

    def _asked(self, said: Predictions) -> tuple[list[str], list[float]]:
        """The controls of this mode and their probabilities."""
        every = [*zip(head_names("action"), said.action, strict=True)]
        every += zip(head_names("inventory"), said.inventory, strict=True)
        other = GAMEPLAY_ONLY if self._screen_open else SCREEN_ONLY
        wanted = [(name, value) for name, value in every if name not in other]
        return [name for name, _ in wanted], [value for _, value in wanted]

    def _switch(self, name: str, probability: float) -> None:
        """Hysteresis: it takes more to press than to go on. A pulse waits from its rise until it is pressed."""
        margin = self.settings.hysteresis
        if name not in self._on and probability > self._limits[name] + margin:
            self._on.add(name)
            if KINDS[name] == "pulse":
                self._waiting.add(name)
        elif name in self._on and probability < self._limits[name] - margin:
            self._on.discard(name)
            self._waiting.discard(name)

    def _press(self, time_s: float) -> frozenset[str]:
        """Pulses whose cooldown is over; one that rises during its cooldown is pressed afterwards if it is still on."""
        ready = {n for n in self._waiting if time_s - self._pressed_s.get(n, -np.inf) >= COOLDOWN_S}
        self._waiting -= ready
        self._pressed_s.update(dict.fromkeys(ready, time_s))
        return frozenset(ready)

    def _turn(self, look: Floats) -> tuple[float, float]:
        """Dead zone, then a moving average, then a limit on the change from one call to the next."""
        wanted = np.where(np.abs(look) < self.settings.deadzone, 0, look)
        self._smooth = _blend(self._smooth, wanted, self.settings.look_ema, -1.0)
        most = self.settings.look_rate_limit
        moved = [old + min(max(new - old, -most), most) for old, new in zip(self._look, self._smooth, strict=True)]
        self._look = (moved[0], moved[1])
        return self._look

    def _choose(self, probabilities: Floats) -> int | None:
        """A slot to change to: sure enough, another one than now, and said once."""
        best = int(probabilities.argmax())
        if probabilities[best] < self.thresholds.hotbar or best == self._slot:
            return None
        self._slot = best
        return best


def _blend(old: tuple[float, float], new: Sequence[float] | Floats, share: float, low: float) -> tuple[float, float]:
    x, y = (min(max(a + share * (float(b) - a), low), 1.0) for a, b in zip(old, new, strict=True))
    return x, y


def _sigmoid(logits: Floats) -> Floats:
    return (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)


def _softmax(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
