"""The card beside a model's weights: what it was made for, so that nothing else is ever asked of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.chat import PROMPT_VERSION
from protege.core.plan import HORIZON
from protege.core.together import require_settled
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
        path.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """UserError if the folder has no card, it cannot be read, or it may be of another model than the weights."""
        path = folder / CARD_NAME
        require_settled(folder)
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            fields["space"] = ActionSpace.from_json(fields["space"])
            fields["frame_size"] = tuple(fields["frame_size"])
            return cls(**fields)
        except FileNotFoundError:
            raise UserError(f"{folder}: no {CARD_NAME}, so this is not a model that protege trained") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a model card ({error!r}); train the model again") from None

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
