"""The words a vision-language model reads and writes: prompt, reply, and the chat line they are trained on.

Labeler, trainer and agent all come here; nobody else builds a prompt.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protege.core.actions import ActionSpace
from protege.core.files import Json, parse_json
from protege.core.plan import HORIZON, Plan

PROMPT_VERSION: Final = 1
"""Raised whenever the text below changes: a model only works with the prompt it was trained on."""
HISTORY_PROMPT_VERSION: Final = 2
"""Of models that are shown earlier frames, too. Without one, at the beginning, it is the prompt of version 1."""
EARLIER: Final = "Earlier:"
NOW: Final = "Now:"


def prompt(goal: str, horizon: int = HORIZON) -> str:
    """What the model is asked, beside the picture."""
    return f"Goal: {goal}\n\nPredict the next {horizon} actions:"


def question(goal: str, pictures: Sequence[Mapping[str, Json]], horizon: int = HORIZON) -> list[dict[str, Json]]:
    """The content of the user's turn. pictures: parts of a message, such as {"type": "image"}, the newest last."""
    *earlier, newest = map(dict, pictures)
    asked = [newest, _text(prompt(goal, horizon))]
    return [_text(EARLIER), *earlier, _text(NOW), *asked] if earlier else asked


def _text(text: str) -> dict[str, Json]:
    return {"type": "text", "text": text}


def reply(plan: Plan, space: ActionSpace) -> str:
    """What the model answers."""
    return json.dumps({"actions": [space.spell(step) for step in plan.steps]})


def read_reply(text: str, space: ActionSpace, horizon: int = HORIZON) -> Plan:
    """The plan in an answer, the inverse of `reply`.

    Raises ValueError on anything else: an answer that cannot be read must never pass for "no keys", which means done.
    """
    try:
        actions = parse_json(text)["actions"]
        if not isinstance(actions, list):
            raise TypeError("actions is no list")
        steps = tuple(space.parse(name) for name in actions)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a reply: {str(text)[:80]!r} ({error})") from None
    if len(steps) != horizon:
        raise ValueError(f"a reply has {horizon} actions, got {len(steps)} in {text[:80]!r}")
    return Plan(steps)


@dataclass(frozen=True)
class Sample:
    """One training example: a picture's file name, a goal and the actions that followed."""

    image: str
    goal: str
    plan: Plan

    def to_json(self, space: ActionSpace) -> dict[str, Json]:
        """The fields of one line of samples.jsonl, as trainers of Qwen models expect them."""
        question = prompt(self.goal, len(self.plan.steps))
        return {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "image": self.image}, {"type": "text", "text": question}],
                },
                {"role": "assistant", "content": reply(self.plan, space)},
            ]
        }

    @classmethod
    def from_json(cls, fields: Any, space: ActionSpace, horizon: int = HORIZON) -> "Sample":
        """The inverse of `to_json`; ValueError on anything else."""
        try:
            user, assistant = fields["messages"]
            picture, question = user["content"]
            image, text, answer = picture["image"], question["text"], assistant["content"]
            if not isinstance(image, str):
                raise TypeError("image is no text")
            # Taken by position and then checked by writing the prompt anew: a goal may hold the prompt's own words.
            goal = text.removeprefix("Goal: ").removesuffix(prompt("", horizon).removeprefix("Goal: "))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a sample: {str(fields)[:80]!r} ({error!r})") from None
        if text != prompt(goal, horizon):
            raise ValueError(f"not the prompt of this version: {text[:80]!r}")
        return cls(image, goal, read_reply(answer, space, horizon))
