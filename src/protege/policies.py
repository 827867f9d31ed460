"""From --model to a policy: a baseline's name, a server's URL, or a folder whose card says which room plays it."""

import importlib
from pathlib import Path
from typing import Final

from protege.agent.baselines import BASELINES
from protege.agent.server import ServerAgent
from protege.agent.vision import VisionAgent, VisionOptions
from protege.core.card import CARD_NAME, ModelCard
from protege.core.plan import Policy
from protege.errors import UserError

KINDS: Final = {"vision": "protege.agent.vision:load", "cloning": "protege.cloning.policy:load"}
"""By the kind of a model's card, where `load(folder, options) -> Policy` stands; imported when such a model plays."""


def load_policy(model: str | Path, options: VisionOptions | None = None) -> Policy:
    """The policy of --model: a baseline, a model's folder, a hub model, or a server as http://host:port/v1[#model].

    UserError if there is no such thing, or its card says it was made for something else.
    """
    options = options or VisionOptions()
    text = str(model)
    if text in BASELINES:
        return BASELINES[text](options)
    if text.startswith(("http://", "https://")):
        return ServerAgent(text, options)
    if (Path(text) / CARD_NAME).exists():
        return _load_folder(text, options)
    if len(Path(text).parts) == 1 and not Path(text).exists():
        raise UserError(f"--model {text}: no such folder; a folder, a server's URL, or one of {', '.join(BASELINES)}")
    return VisionAgent(text, options=options)


def card_of(model: str | Path) -> ModelCard | None:
    """The card of a model's folder that plays from pictures; None for a baseline, a server, or a model without one."""
    folder = Path(model)
    if str(model) in BASELINES or str(model).startswith(("http://", "https://")) or not (folder / CARD_NAME).exists():
        return None
    card = ModelCard.load(folder)
    return card if card.kind in KINDS else None


def _load_folder(folder: str, options: VisionOptions) -> Policy:
    kind = ModelCard.load(Path(folder)).kind
    if kind == "controls":
        raise UserError(
            f"--model {folder}: plays from landmarks, not from pictures; give a recording or a live stream of them "
            "with --features FILE"
        )
    if kind not in KINDS:
        raise UserError(f"{folder}: a model of kind {kind!r}; this installation plays: {', '.join(sorted(KINDS))}")
    module, function = KINDS[kind].split(":")
    return vars(importlib.import_module(module))[function](folder, options)
