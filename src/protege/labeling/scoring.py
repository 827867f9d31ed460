"""Scores a model's goals against the true ones, in sessions that know them (those of the built-in game)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.core import Session
from protege.errors import UserError
from protege.labeling.ask import Item, find_goals
from protege.labeling.backends.base import Given, Labeler
from protege.labeling.contact_sheet import PICTURES
from protege.labeling.goals import clean, words
from protege.labeling.labels import keys_per_frame
from protege.labeling.segments import SEGMENT_S, cut
from protege.labeling.wording import Wording

_SMALL_WORDS: Final = frozenset(["a", "an", "the", "to", "of", "at", "in", "on", "into", "up"])
_ANSWERS: Final = 4
"""Different answers shown for each true goal."""
NO_ANSWER: Final = "(no usable answer)"


def overlap(answer: str, truth: str) -> float:
    """F1 of words, 0 to 1: twice the words in common over the words of both.

    Articles, small prepositions, capitals and order do not count.
    """
    a = Counter(word for word in words(answer) if word not in _SMALL_WORDS)
    b = Counter(word for word in words(truth) if word not in _SMALL_WORDS)
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else float(answer == truth)


@dataclass(frozen=True)
class Score:
    """pairs: (answer, true goal) of every segment asked about."""

    by: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def exact(self) -> float:
        """Share of answers that equal the true goal, but for capitals and punctuation."""
        return sum(words(a) == words(b) for a, b in self.pairs) / len(self.pairs)

    @property
    def overlap(self) -> float:
        """Mean word overlap."""
        return sum(overlap(a, b) for a, b in self.pairs) / len(self.pairs)

    @property
    def usable(self) -> float:
        """Share of segments with an answer that passed the checks."""
        return sum(a != NO_ANSWER for a, _ in self.pairs) / len(self.pairs)

    def confusion(self) -> list[tuple[str, int, list[tuple[str, int]]]]:
        """(true goal, count, [(answer, count)]), the commonest first."""
        by_truth: dict[str, Counter[str]] = {}
        for answer, truth in self.pairs:
            by_truth.setdefault(truth, Counter())[answer] += 1
        return [(t, c.total(), c.most_common()) for t, c in sorted(by_truth.items(), key=lambda i: -i[1].total())]

    def to_json(self) -> dict[str, object]:
        return {
            "by": self.by,
            "segments": len(self.pairs),
            "exact": self.exact,
            "overlap": self.overlap,
            "usable": self.usable,
            "confusion": [{"goal": t, "segments": n, "answers": dict(a)} for t, n, a in self.confusion()],
        }

    def table(self) -> str:
        """For people: the figures, then what was answered to each true goal."""
        lines = [
            f"{self.by}: {len(self.pairs)} segments",
            f"exact     {100 * self.exact:5.1f} %   the same words",
            f"overlap   {100 * self.overlap:5.1f} %   words in common (F1), without articles",
            f"usable    {100 * self.usable:5.1f} %   passed the checks",
            "",
        ]
        width = max(len(t) for _, t in self.pairs)
        for truth, count, found in self.confusion():
            said = ", ".join(f"{a} {n}" for a, n in found[:_ANSWERS])
            more = f", … {len(found) - _ANSWERS} more" if len(found) > _ANSWERS else ""
            lines.append(f"{truth:<{width}}  {count:>4}  {said}{more}")
        return "\n".join(lines)


def score(
    sessions: Sequence[Path],
    labeler: Labeler | Given,
    *,
    seconds: float = SEGMENT_S,
    pictures: int = PICTURES,
    prompt: Path | None = None,
) -> Score:
    """Compare the goals that are found for every segment whose true goal is known. Writes nothing.

    Only segments at whose end the goal is reached count: before that, nobody can see what it is.
    """
    wording = Wording.load(prompt)
    items: list[Item] = []
    for folder in sessions:
        session = Session.open(folder)
        keys = keys_per_frame(session)
        motion = session.motion()
        segments, _ = cut(session, keys, seconds, motion=motion)
        items += [Item(session, keys, motion, s) for s in segments if s.goal and s.last and s.reached]
    pairs = [
        (NO_ANSWER if found.why else found.goal, clean(items[i].segment.goal or ""))
        for i, found in find_goals(items, labeler, wording, pictures)
    ]
    if not pairs:
        raise UserError(
            "no session here knows its true goals, so nothing can be scored; "
            "make some with: protege arena record --episodes 50"
        )
    return Score(labeler.name, tuple(pairs))
