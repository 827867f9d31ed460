"""Goals as numbers: words are hashed into a fixed number of buckets, so that new goals have numbers, too."""

import re
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.errors import UserError

BUCKETS: Final = 512
WORDS: Final = 16


def word_numbers(sentence: str) -> NDArray[np.int32]:
    """(16,) numbers from 1 to 511 of a sentence's first words, padded with 0."""
    found = np.zeros(WORDS, np.int32)
    words = re.findall(r"\w+", sentence.lower())[:WORDS]
    found[: len(words)] = [1 + zlib.crc32(word.encode()) % (BUCKETS - 1) for word in words]
    return found


def goal_table(goals: Sequence[str]) -> NDArray[np.int32]:
    """(G + 1, 16) word numbers of the goals, and a last row for no goal."""
    return np.stack([*map(word_numbers, goals), np.zeros(WORDS, np.int32)])


def goal_numbers(goal: str, known: Sequence[str], kind: str) -> NDArray[np.int32] | None:
    """A goal as the input of a model, in a batch of 1; None where the model takes none.

    known: the goals that it was trained on. kind: its `model.goal`. UserError for "index" and a goal not among them.
    """
    if kind == "none":
        return None
    if kind == "sentence":
        return word_numbers(goal)[None]
    folded = [each.strip().lower() for each in known]
    if goal.strip().lower() not in folded:
        raise UserError(f"goal {goal!r}: this model knows only: {'; '.join(known)}")
    return np.array([folded.index(goal.strip().lower())], np.int32)
