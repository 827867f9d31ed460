"""What a player can do: the keys a policy may hold, and one time step of holding them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.core.files import Json
from protege.core.looking import BUTTONS, WHEEL, Look

Action = frozenset[str]
"""One time step: the set of keys held during it, with the symbol of a bin for each axis of the mouse that moves (an
axis at rest has none). The empty set is written "none".
"""

NO_KEYS: Final[Action] = frozenset()
NONE: Final = "none"
WORDS: Final = {
    **{"'": "quote", ",": "comma", "-": "minus", ".": "period", "/": "slash", ";": "semicolon", "<": "less"},
    **{"=": "equals", "[": "left_bracket", "]": "right_bracket", "\\": "backslash", "`": "grave"},
}
"""How keys are spelled that are marks: in an answer they would share tokens with the quotes around them."""
_MARKS: Final = {word: mark for mark, word in WORDS.items()}
MAX_KEYS: Final = 256
"""Keys of the largest space that is read from a file: every frame's action takes a byte a key."""


@dataclass(frozen=True)
class ActionSpace:
    """The keys a policy may hold, in the order of its output columns.

    keys: K names; the last is "none", the column that is set when no key is held.
    movement, camera: which of them move the player and which turn the view; on a tie
    movement wins a slot, and a recording that never turns gets a warning.
    meanings: what keys do in the game, in words ({"ctrl": "fire"}); for labels, reports and people, and no part of what
    makes two spaces equal.
    look: the mouse, where it turns the view; None without. Its buttons and its wheel are keys ("mouse_left").
    """

    name: str
    keys: tuple[str, ...]
    movement: frozenset[str] = frozenset()
    camera: frozenset[str] = frozenset()
    meanings: Mapping[str, str] = field(default_factory=dict, compare=False)
    look: Look | None = None

    def __post_init__(self) -> None:
        if len(set(self.keys)) != len(self.keys):
            raise ValueError(f"an action space lists each key once, got {self.keys}")
        if not self.keys or self.keys[-1] != NONE:
            raise ValueError(f"the last column of an action space is {NONE!r}, got {self.keys}")
        if bad := [key for key in self.keys if not key or "+" in key or key != key.lower()]:
            raise ValueError(f"keys are lower-case names without '+', got {bad}")
        if not (self.movement | self.camera) <= set(self.pressable):
            raise ValueError(f"movement and camera keys belong to the space, got {self.movement | self.camera}")
        if self.look and (bad := [key for key in self.keys if " " in key or key in self.look.symbols]):
            raise ValueError(f"beside a mouse keys have no spaces, nor the names of its bins, got {bad}")
        if not self.meanings.keys() <= set(self.pressable):
            raise ValueError(f"keys with a meaning belong to the space, got {sorted(self.meanings)}")

    @property
    def pressable(self) -> tuple[str, ...]:
        """The real keys, without "none"."""
        return self.keys[:-1]

    @property
    def buttons(self) -> tuple[str, ...]:
        """Those of the keys that are the mouse's: its buttons and its wheel."""
        return tuple(key for key in self.pressable if key in BUTTONS or key in WHEEL)

    def __len__(self) -> int:
        return len(self.keys)

    def index(self, key: str) -> int:
        """Column of a key; ValueError names the keys that exist."""
        if key not in self.keys:
            raise ValueError(f"key {key!r} is not in the action space {self.name} ({' '.join(self.keys)})")
        return self.keys.index(key)

    @property
    def symbols(self) -> Action:
        """What an action may hold that is no key: the bins of the mouse."""
        return self.look.symbols if self.look else NO_KEYS

    def encode(self, actions: Sequence[Action]) -> NDArray[np.bool_]:
        """(T, K) multi-hot rows of the keys of T actions; exactly "none" is set where no key is held.

        Where the view turns is not in them, see `bins`.
        """
        rows, symbols = np.zeros((len(actions), len(self.keys)), dtype=bool), self.symbols
        for row, action in zip(rows, actions, strict=True):
            for key in action - symbols:
                row[self.index(key)] = True
        # A column of its own, since "no key" is what a model has to be able to choose.
        rows[:, -1] = ~rows[:, :-1].any(axis=1)
        return rows

    def decode(self, rows: NDArray[np.bool_], bins: NDArray[np.integer] | None = None) -> list[Action]:
        """The T actions of (T, K) multi-hot rows and (T, 2) bins; the inverse of `encode` and `bins`."""
        if rows.ndim != 2 or rows.shape[1] != len(self.keys):
            raise ValueError(f"expected rows of shape (T, {len(self.keys)}), got {rows.shape}")
        held = [frozenset(self.keys[k] for k in np.flatnonzero(row[:-1])) for row in rows]
        if self.look is None or bins is None:
            return held
        return [keys | self.look.turned(turn) for keys, turn in zip(held, bins.tolist(), strict=True)]

    def bins(self, actions: Sequence[Action]) -> NDArray[np.uint8]:
        """(T, 2) the bins (yaw, pitch) of T actions; (T, 0) of a space without a mouse."""
        if self.look is None:
            return np.zeros((len(actions), 0), np.uint8)
        return np.array([self.look.bins(action) for action in actions], np.uint8).reshape(-1, 2)

    def spell(self, action: Action) -> str:
        """An action as text: "w+right" in column order, "none" when no key is held; where the mouse turns the view, a
        letter an axis follows, see `core.looking.LETTERS`: "w+mouse_left M k".
        """
        return "".join(self.spelled_parts(action))

    def spelled_parts(self, action: Action) -> tuple[str, ...]:
        """The parts whose texts make `spell`: the keys, then each axis of the mouse."""
        held = sorted(action - self.symbols, key=self.index)
        keys = "+".join(WORDS.get(key, key) for key in held) or NONE
        return (keys, *self.look.spell(self.look.bins(action))) if self.look else (keys,)

    def parse(self, text: str) -> Action:
        """The action that `spell` wrote; ValueError on an unknown or repeated key."""
        wrong = f"{text!r} is not an action; expected keys joined by '+', or {NONE!r}"
        if not isinstance(text, str):
            raise ValueError(wrong)
        turned = NO_KEYS
        if self.look is not None:
            text, *letters = text.split(" ")
            if (bins := self.look.read(letters)) is None:
                raise ValueError(f"{wrong}, then a letter for each axis of the mouse")
            turned = self.look.turned(bins)
        if text == NONE:
            return turned
        names = [_MARKS.get(name, name) for name in text.split("+")]
        if len(set(names)) != len(names) or NONE in names:
            raise ValueError(wrong)
        for name in names:
            self.index(name)
        return frozenset(names) | turned

    def told(self, key: str) -> str:
        """A key for people, with what it does where that is known: "ctrl (fire)"."""
        return f"{key} ({self.meanings[key]})" if key in self.meanings else key

    def in_words(self, action: Action) -> str:
        """An action for people, with the degrees that the view turns: "w + space, right 4.2°"; "nothing" at rest."""
        said = [" + ".join(sorted(action - self.symbols, key=self.index))]
        if self.look is not None:
            degrees = [count * self.look.degrees_per_count for count in self.counts(action)]
            ways = zip(degrees, (("right", "left"), ("down", "up")), strict=True)
            said += [f"{way[turn < 0]} {abs(turn):.3g}°" for turn, way in ways if turn]
        return ", ".join(filter(None, said)) or "nothing"

    def to_json(self) -> dict[str, Json]:
        fields: dict[str, Json] = {
            "name": self.name,
            "keys": list(self.keys),
            "movement": sorted(self.movement),
            "camera": sorted(self.camera),
        }
        if self.meanings:
            fields["meanings"] = dict(self.meanings)
        if self.look:
            fields["look"] = self.look.to_json()
        return fields

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError on anything else."""
        name, keys = fields["name"], fields["keys"]
        if not isinstance(name, str) or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise TypeError("an action space has a name and a list of keys")
        if len(keys) > MAX_KEYS:
            raise ValueError(f"an action space has at most {MAX_KEYS} keys, got {len(keys)}")
        meanings = fields.get("meanings", {})
        if not isinstance(meanings, dict) or not all(isinstance(text, str) for text in meanings.values()):
            raise TypeError("meanings say in words what keys do")
        look = Look.from_json(fields["look"]) if "look" in fields else None
        return cls(name, tuple(keys), frozenset(fields["movement"]), frozenset(fields["camera"]), meanings, look)

    def turned(self, motion: NDArray[np.number]) -> list[Action]:
        """The symbols of (T, 2) counts right and down, one set a frame: those of the axes that do not stand still."""
        if self.look is None:
            return [NO_KEYS] * len(motion)
        bins = np.stack([axis.bins(motion[:, column]) for column, axis in enumerate(self.look.axes)], axis=1)
        return [self.look.turned(row) for row in bins.tolist()]

    def counts(self, action: Action) -> tuple[float, float]:
        """Counts (right, down) that an action moves the mouse: the centres of its bins, 0 for an axis at rest."""
        if self.look is None:
            return 0.0, 0.0
        moved = [0.0, 0.0]
        for column, axis in enumerate(self.look.axes):
            for symbol in action.intersection(axis.symbols):
                moved[column] = axis.centres[axis.symbols.index(symbol)]
        return moved[0], moved[1]

    @property
    def at_rest(self) -> Action:
        """The symbols that an action leaves out."""
        return self.look.at_rest if self.look else NO_KEYS

    def only(self, keys: Iterable[str]) -> Action:
        """Those of `keys` that belong to the space, as an action."""
        return frozenset(keys) & frozenset(self.pressable)


KEYBOARD_12: Final = ActionSpace(
    name="KEYBOARD_12",
    keys=("w", "s", "a", "d", "up", "down", "left", "right", "c", "space", "enter", NONE),
    movement=frozenset("wsad"),
    camera=frozenset(("up", "down", "left", "right")),
)

SPACES: Final = {space.name: space for space in (KEYBOARD_12,)}
