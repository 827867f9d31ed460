"""What JSON of somebody else's says, held against what was expected of it."""

import math
from collections.abc import Mapping
from typing import TypeGuard


def is_int(value: object) -> TypeGuard[int]:
    """A whole number; JSON's true and false are none, though Python takes them for 1 and 0."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """A finite number."""
    return is_int(value) or (isinstance(value, float) and math.isfinite(value))  # not every int fits into a float


def brief(value: object) -> str:
    """A value in an error, however long it is."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def require(values: Mapping[str, object], good: Mapping[str, bool]) -> None:
    """ValueError names the first of `values` that is not good."""
    for name, is_good in good.items():
        if not is_good:
            raise ValueError(f"{name} is {brief(values[name])}")
