"""The card beside a model's weights: its metadata, checked before the model is used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self, runtime_checkable

from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.chat import HISTORY_PROMPT_VERSION, PROMPT_VERSION
from protege.core.files import read_json, write_json
from protege.core.history import History
from protege.core.plan import HORIZON
from protege.core.text import one_line
from protege.core.together import require_settled
from protege.errors import UserError

CARD_NAME: Final = "card.json"
MOST_PIXELS: Final = 65_536
"""Of a frame's width or height."""
_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    **{"kind": str, "base_model": str, "frame_size": list, "chords": bool, "config": dict},
    **{"horizon": int, "frame_hz": (int, float), "prompt_version": int, "done_threshold": (int, float)},
}


@dataclass(frozen=True)
class ModelCard:
    """kind: "vision", "controls" or "cloning"; frame_size: (width, height) the model sees;
    chords: whether a slot may hold several keys; config: the resolved configuration it was trained with;
    done_threshold: how likely it must be that no slot of a plan holds a key for the goal to count as done, None (and
    not in the file) where plain greedy decoding says so; history: the earlier frames that the model sees besides, None
    (and not in the file) for none.
    """

    kind: str
    base_model: str
    space: ActionSpace = KEYBOARD_12
    horizon: int = HORIZON
    frame_size: tuple[int, int] = (640, 480)
    frame_hz: float = 10.0
    chords: bool = False
    prompt_version: int = PROMPT_VERSION
    config: Mapping[str, Any] = field(default_factory=dict)
    done_threshold: float | None = None
    history: History | None = None

    @property
    def needed_prompt(self) -> int:
        """The version of the prompt that shows what the model is to see."""
        return PROMPT_VERSION if self.history is None else HISTORY_PROMPT_VERSION

    def save(self, folder: Path) -> Path:
        path = folder / CARD_NAME
        fields = {**vars(self), "space": self.space.to_json()}
        if self.history is not None:
            fields["history"] = self.history.to_json()
        fields = {k: v for k, v in fields.items() if v is not None or k not in ("done_threshold", "history")}
        write_json(path, fields)
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """UserError if the folder has no card, it cannot be read, or it is of another model than the weights."""
        path = folder / CARD_NAME
        require_settled(folder)
        try:
            return cls._from_json(read_json(path))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{folder}: no {CARD_NAME}, so this is not a model that protege trained") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = one_line(repr(error), 200)
            raise UserError(f"{path}: not a model card ({reason}); train the model again") from None

    @classmethod
    def _from_json(cls, fields: Any) -> Self:
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        if unknown := fields.keys() - known.keys():
            raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
        for name, kinds in _KINDS.items():
            if name in known and not (
                isinstance(known[name], kinds) and isinstance(known[name], bool) == (kinds is bool)
            ):
                raise TypeError(f"{name} is {known[name]!r}"[:100])
        width, height = known.get("frame_size", cls.frame_size)
        if not all(type(n) is int and 0 < n <= MOST_PIXELS for n in (width, height)):
            raise ValueError(f"frame_size is {[width, height]}"[:100])
        if not (0 < known.get("frame_hz", 1) <= 10_000 and 0 < known.get("horizon", 1) <= 10_000):
            raise ValueError("frame_hz and horizon lie between 0 and 10,000")
        if not 0 <= known.get("done_threshold", 0) <= 1:
            raise ValueError(f"done_threshold is {known['done_threshold']!r}, expected 0 to 1")
        if "history" in known:
            known["history"] = History.from_json(known["history"])
        return cls(**{**known, "space": ActionSpace.from_json(fields["space"]), "frame_size": (width, height)})

    def require(self, **expected: object) -> None:
        """UserError in words when a field is not what the caller needs, e.g. require(kind="vision", horizon=7)."""
        for name, wanted in expected.items():
            if (found := vars(self)[name]) != wanted:
                raise UserError(
                    f"the model was made for {name.replace('_', ' ')} {_brief(found)}, this needs {_brief(wanted)}; "
                    "train it again or choose another model"
                )


@runtime_checkable
class Trained(Protocol):
    """A policy that says what its model was made for."""

    card: ModelCard


def _brief(value: object) -> str:
    return value.name if isinstance(value, ActionSpace) else str(value)
