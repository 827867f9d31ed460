"""A model's scores as its page draws them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protege.core.actions import ActionSpace
from protege.core.fields import is_number
from protege.core.files import is_component

MEANING: Final = {
    "first_action_accuracy": ("first action", "of the moments, in how many it would press what the player pressed"),
    "exact_chunk": ("whole plan", "all seven planned steps are what the player did"),
    "macro_f1": ("every key alike", "precision and recall, each key counting the same however rare it is"),
    "change_accuracy": ("changes", "moments in which the player changed keys: just holding on is wrong there"),
    "camera_accuracy": ("turning", "steps in which the player turned: it turns the same way"),
    "done_recall": ("notices the end", "of the reached goals, how many it takes for reached"),
    "done_precision": ("is right about the end", "of the goals that it takes for reached, how many are"),
    "explained": ("certainty", "how much less surprising the player is to it than to a mere count of keys"),
}


@dataclass(frozen=True)
class Bar:
    """A score of 0 to 1 with its name and meaning; base: what always pressing the commonest key reaches, or None."""

    name: str
    meaning: str
    value: float
    base: float | None


@dataclass(frozen=True)
class KeyScore:
    """A key: how often it was held, and which part of that it finds (recall) and gets right (precision)."""

    key: str
    support: int
    recall: float
    precision: float


def bars(metrics: Mapping[str, Any] | None) -> list[Bar]:
    """The scores that are there, in the order of MEANING."""
    if metrics is None:
        return []
    base = (metrics.get("baselines") or {}).get("majority") or {}
    found: list[Bar] = []
    for field, (name, meaning) in MEANING.items():
        if is_number(value := metrics.get(field)):
            other = base.get(field)
            found.append(Bar(name, meaning, _part(value), _part(other) if is_number(other) else None))
    return found


def keys_of(metrics: Mapping[str, Any] | None, space: ActionSpace) -> list[KeyScore]:
    """Scores of the keys that the samples hold, the commonest first."""
    found: list[KeyScore] = []
    for key, score in ((metrics or {}).get("keys") or {}).items():
        if isinstance(score, dict) and score.get("support"):
            parts = [_part(score[n]) if is_number(score.get(n)) else 0.0 for n in ("recall", "precision")]
            found.append(KeyScore(space.told(key) if key in space.pressable else "no key", score["support"], *parts))
    return sorted(found, key=lambda one: -one.support)


@dataclass(frozen=True)
class Wrong:
    """A sample whose true plan a model finds unlikely. file: its picture, as a segment's folder and a name."""

    file: tuple[str, str]
    goal: str
    pressed: str
    predicted: str


def worst_of(metrics: Mapping[str, Any] | None) -> list[Wrong]:
    """The worst samples that were kept with the scores; what is no sample is left out."""
    kept = (metrics or {}).get("worst")
    found: list[Wrong] = []
    for one in kept if isinstance(kept, list) else []:
        fields = one if isinstance(one, dict) else {}
        named = (fields.get(name) for name in ("file", "goal", "pressed", "predicted"))
        texts = [text for text in named if isinstance(text, str)]
        if len(texts) == 4:
            folder, _, name = texts[0].partition("/")
            if is_component(folder) and is_component(name):
                found.append(Wrong((folder, name), *texts[1:]))
    return found


@dataclass(frozen=True)
class Pair:
    """A score of two models; better: 0 or 1 where one of them is better by a whole hundredth, else None."""

    name: str
    meaning: str
    values: tuple[float | None, float | None]

    @property
    def better(self) -> int | None:
        first, second = (None if value is None else round(100 * value) for value in self.values)
        return None if first is None or second is None or first == second else int(second > first)


def side_by_side(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> list[Pair]:
    """The scores that either has, in the order of MEANING."""
    both = [{bar.name: bar.value for bar in bars(metrics)} for metrics in (first, second)]
    return [
        Pair(name, meaning, (both[0].get(name), both[1].get(name)))
        for name, meaning in MEANING.values()
        if name in both[0] or name in both[1]
    ]


def _part(value: float) -> float:
    return min(1.0, max(0.0, value))
