"""What may stand in a file: values of another type or size, names that lead elsewhere."""

import copy
import random
from collections.abc import Iterator
from typing import Any, Final

CASE: Final = "{case}"
"""Stands for the folder of the case in strings, so that a case is the same in every place."""
BELL: Final = "\x07\x1b]0;owned\x07\u202e"
"""What must never reach a terminal."""
NAMES: Final = (
    *("../../precious", "../precious", f"{CASE}/precious/keep.txt", f"{CASE}/precious", "/proc/self/mem"),
    *("C:\\precious", "..", ".", "", "a/../../../precious/keep.txt", "a\0b", "con", "x" * 300, "\ud800"),
    *(f"seg{BELL}", "{{7*7}}", "-rf"),
    *("\\\\server\\share", "précis", " ", "a\nb", "<script>alert(1)</script>", "../../precious/keep.txt"),
)
NUMBERS: Final = (
    *(0, -1, 1, 2, 10**9, -(10**9), 10**18, -(10**18), 4 * 10**18, 2**63, 2**64, 10**40, 0.5, -0.5, 1e-300, 1e308),
    *(float("nan"), float("inf"), -float("inf")),
)
OTHERS: Final = (None, True, False, [], {}, [[]], {"": 0}, [None] * 3, ["w", 10**9], [0] * 5000, {"a": {"b": [1]}})


def any_value(rng: random.Random) -> Any:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(NAMES)
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return _deep(rng.choice((50, 900)))
    return copy.deepcopy(rng.choice(OTHERS))


def _deep(levels: int) -> Any:
    made: Any = []
    for _ in range(levels):
        made = [made]
    return made


def change(value: Any, rng: random.Random) -> Any:
    """A JSON value with one thing in it changed, most often a leaf."""
    places = list(_places(value))
    if not places or rng.random() < 0.03:
        return any_value(rng)
    holder, key = rng.choice(places)
    act = rng.randrange(10)
    if act < 5:
        holder[key] = any_value(rng)
    elif act == 5:
        holder[key] = _other_type(holder[key])
    elif act == 6:
        del holder[key]
    elif act == 7 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] = holder[key] * rng.choice((-1, 2, 10**6, 10**12)) + rng.choice((0, 1, -1))
    elif act == 8 and isinstance(holder, list):
        holder[key:key] = [copy.deepcopy(holder[key])] * rng.choice((1, 1, 50))
    elif isinstance(holder, dict):
        holder[rng.choice((f"{key}_", "extra", "", "__proto__", key.upper(), f"{key}{BELL}"))] = holder.pop(key)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of everything inside; of long lists only the first few."""
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from _places(value[key])
    elif isinstance(value, list):
        for index in range(min(len(value), 8)):
            yield value, index
            yield from _places(value[index])


def _other_type(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return {str(i): item for i, item in enumerate(value[:50])}
    if isinstance(value, dict):
        return list(value.values())
    return str(value)
