"""Kinds of arguments that several commands take."""

import math
from typing import Any, Final

import click

from protege.core.devices import Rect
from protege.core.text import one_line, printable

_MOST_DIGITS: Final = 40
_LARGEST_SIDE: Final = 16_384
"""Pixels; JPEG ends at 65,535, graphics cards at this."""
_MOST_PIXELS: Final = 16_000_000
"""Of a picture that is asked for: 5120x2880 and no more."""


class Number(click.FloatRange):
    """A finite number: click's own kinds let nan through every range, and inf through an open one."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = math.inf if _digits(value) > _MOST_DIGITS else float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{_short(value)} is not a finite number", param, ctx)
        return found


class Count(click.IntRange):
    """A whole number from `min` on that work can be done for: at most `most`."""

    name = "count"

    def __init__(self, min: int = 1, max: int | None = None, most: int = 10_000_000) -> None:
        super().__init__(min, max)
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = self._most + 1 if _digits(value) > _MOST_DIGITS else int(super().convert(value, param, ctx))
        if found > self._most:
            self.fail(f"{_short(value)} is more than {self._most:,}", param, ctx)
        return found


SEED: Final = Count(0, most=2**32 - 1)


class GoalText(click.ParamType):
    """A goal: words on one line."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        goal = str(value).strip()
        if not goal or len(goal) > 200 or "\n" in goal or printable(goal) != goal:
            self.fail(f"{_short(value)} is not a goal; expected a few words on one line", param, ctx)
        return goal


class Size(click.ParamType):
    """WIDTHxHEIGHT in pixels."""

    name = "WxH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, cross, height = str(value).lower().partition("x")
        if not (cross and width.isascii() and height.isascii() and width.isdigit() and height.isdigit()):
            self.fail(f"{_short(value)} is not a size; expected WIDTHxHEIGHT, for example 640x480", param, ctx)
        if not all(1 <= len(part) <= 5 and 1 <= int(part) <= _LARGEST_SIDE for part in (width, height)):
            self.fail(f"{_short(value)} is no size: 1 to {_LARGEST_SIDE} pixels a side", param, ctx)
        if int(width) * int(height) > _MOST_PIXELS:
            self.fail(f"{_short(value)} is no size: at most {_MOST_PIXELS:,} pixels in all", param, ctx)
        return int(width), int(height)


class Region(click.ParamType):
    """LEFT,TOP,WIDTH,HEIGHT in pixels."""

    name = "L,T,W,H"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Rect:
        if isinstance(value, Rect):
            return value
        try:
            left, top, width, height = (int(part) for part in str(value).split(","))
            if not (
                max(abs(left), abs(top)) <= 10 * _LARGEST_SIDE
                and all(1 <= side <= _LARGEST_SIDE for side in (width, height))
            ):
                raise ValueError
        except ValueError:
            self.fail(
                f"{_short(value)} is not a region; expected LEFT,TOP,WIDTH,HEIGHT, for example 0,0,640,480", param, ctx
            )
        return Rect(left, top, width, height)


class Seconds(click.ParamType):
    """A time: 90, 1:30 or 0:01:30."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            parts = [float(part) for part in str(value).split(":")]
            if not 1 <= len(parts) <= 3 or not all(0 <= part < 1e7 for part in parts):
                raise ValueError
        except ValueError:
            self.fail(f"{_short(value)} is not a time; expected seconds (90) or minutes:seconds (1:30)", param, ctx)
        total = 0.0
        for part in parts:
            total = total * 60 + part
        return total


def _digits(value: object) -> int:
    return len(value) if isinstance(value, str) else 0


def _short(value: object) -> str:
    return one_line(repr(value), 60)


def examples(*lines: str) -> str:
    """An epilog of example command lines, kept as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
