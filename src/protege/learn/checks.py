"""Checks of settings that the configs of all learners share; each error names the setting and what it may be."""

from collections.abc import Iterable, Sequence

from protege.errors import UserError


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """UserError unless `value` is one of those allowed. name: the setting's, dotted."""
    if value not in allowed:
        raise UserError(f"{name} is one of {', '.join(allowed)}; got {value!r}")


def within(name: str, value: float, low: float, high: float) -> None:
    """UserError unless `value` lies between `low` and `high`, both of them allowed; nan never does."""
    if not low <= value <= high:
        raise UserError(f"{name} lies between {low:g} and {high:g}, got {value}")


def all_within(section: str, options: object, names: Iterable[str], low: float, high: float) -> None:
    """`within` for several fields of one section's dataclass."""
    for name in names:
        within(f"{section}.{name}", vars(options)[name], low, high)


def strictly_within(name: str, value: float, low: float, high: float) -> None:
    """UserError unless `value` lies between `low` and `high`, neither of them allowed."""
    if not low < value < high:
        raise UserError(f"{name} lies between {low:g} and {high:g}, got {value}")


def not_empty(name: str, value: str, expected: str) -> None:
    """UserError for a text of nothing but spaces. expected: what to give instead."""
    if not value.strip():
        raise UserError(f"{name} is empty; give {expected}")
