"""Goals that a model was never trained on, with the nearest that it knows."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from protege.core.card import ModelCard
from protege.core.files import read_json
from protege.core.labeled import LABELED, SEGMENT, find_segments

NEAREST: Final = 3


def known_goals(card: ModelCard) -> set[str]:
    """The goals of the data that a model was trained on; none where the data is not there any more."""
    data = card.config.get("data")
    folder = data.get("folder") if isinstance(data, dict) else None
    if not isinstance(folder, str) or not Path(folder).is_dir():
        return set()
    found: set[str] = set()
    for path in find_segments(Path(folder)):
        try:
            fields = read_json(path / SEGMENT)
            if fields["status"] == LABELED:
                found |= {str(fields["goal"]), *map(str, fields["paraphrases"])}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # whoever trains on it says what is wrong with it
    return found


def strange(goals: Iterable[str], known: set[str]) -> Iterator[str]:
    """A line for each goal that is not among the known ones; none where nothing is known."""
    folded = {goal.strip().lower(): goal for goal in known}
    for goal in goals:
        if folded and goal.strip().lower() not in folded:
            near = difflib.get_close_matches(goal.strip().lower(), folded, NEAREST, cutoff=0.0)
            named = ", ".join(f'"{folded[one]}"' for one in near)
            yield f'the model was never trained on "{goal}"; the nearest that it knows: {named}'
