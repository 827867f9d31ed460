"""The card beside a model's weights: what it was made for, so that nothing else is ever asked of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from protege.core import files
from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.chat import PROMPT_VERSION
from protege.core.plan import HORIZON
from protege.core.text import one_line
from protege.errors import UserError

CARD_NAME: Final = "card.json"


@dataclass(frozen=True)
class ModelCard:
    """kind: "vision", "controls" or "cloning"; frame_size: (width, height) the model sees;
    chords: whether a slot may hold several keys; config: the resolved configuration it was trained with.
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

    def save(self, folder: Path) -> Path:
        fields = {**vars(self), "space": self.space.to_json()}
        path = folder / CARD_NAME
        files.write_text(path, json.dumps(fields, indent=1) + "\n")
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """UserError if the folder has no card or it cannot be read."""
        path = folder / CARD_NAME
        try:
            fields = files.read_json(path)
            fields["space"] = ActionSpace.from_json(fields["space"])
            fields["frame_size"] = tuple(fields["frame_size"])
            card = cls(**fields)
            card._require_types()
            return card
        except FileNotFoundError:
            raise UserError(f"{folder}: no {CARD_NAME}, so this is not a model that protege trained") from None
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            reason = one_line(repr(error), 200)
            raise UserError(f"{path}: not a model card ({reason}); train the model again") from None

    def _require_types(self) -> None:
        """ValueError for a field that is not what it should be."""
        expected = {"kind": str, "base_model": str, "horizon": int, "chords": bool, "prompt_version": int}
        for name, kind in expected.items():
            if type(getattr(self, name)) is not kind:
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        if not 1 <= self.horizon <= 1000:
            raise ValueError(f"horizon is {self.horizon}")
        sizes = [type(part) is int and 1 <= part <= 16_384 for part in self.frame_size]
        if sizes != [True, True]:
            raise ValueError(f"frame_size is {self.frame_size!r}")
        if type(self.frame_hz) not in (int, float) or not 0 < self.frame_hz <= 1000:
            raise ValueError(f"frame_hz is {self.frame_hz!r}")
        if not isinstance(self.config, Mapping):
            raise ValueError(f"config is {self.config!r}")

    def require(self, **expected: Any) -> None:
        """UserError in words when a field is not what the caller needs, e.g. require(kind="vision", horizon=7)."""
        for name, wanted in expected.items():
            if (found := getattr(self, name)) != wanted:
                raise UserError(
                    f"the model was made for {name.replace('_', ' ')} {_brief(found)}, this needs {_brief(wanted)}; "
                    "train it again or choose another model"
                )


def _brief(value: Any) -> str:
    return value.name if isinstance(value, ActionSpace) else str(value)
