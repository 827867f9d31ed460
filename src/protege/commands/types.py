"""Kinds of arguments that several commands take."""

import math
from typing import Any

import click

from protege.core.devices import Rect
from protege.core.text import printable


class Number(click.FloatRange):
    """A number in a range; neither nan nor infinite, which `FloatRange` lets through."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number

    def _describe_range(self) -> str:
        return "" if self.min is None and self.max is None else super()._describe_range()


class GoalText(click.ParamType):
    """A goal: words on one line."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        goal = str(value).strip()
        if not goal or len(goal) > 200 or "\n" in goal or printable(goal) != goal:
            self.fail(f"{value[:60]!r} is not a goal; expected a few words on one line", param, ctx)
        return goal


class Size(click.ParamType):
    """WIDTHxHEIGHT in pixels."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, cross, height = str(value).lower().partition("x")
        if not (cross and width.isascii() and height.isascii() and width.isdigit() and height.isdigit()):
            self.fail(f"{value!r} is not a size; expected WIDTHxHEIGHT, for example 640x480", param, ctx)
        return int(width), int(height)


class Region(click.ParamType):
    """LEFT,TOP,WIDTH,HEIGHT in pixels."""

    name = "L,T,W,H"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rect:
        if isinstance(value, Rect):
            return value
        try:
            left, top, width, height = (int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a region; expected LEFT,TOP,WIDTH,HEIGHT, for example 0,0,640,480", param, ctx)
        return Rect(left, top, width, height)


class Seconds(click.ParamType):
    """A time: 90, 1:30 or 0:01:30."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            parts = [float(part) for part in str(value).split(":")]
            if not 1 <= len(parts) <= 3 or not all(0 <= part < 1e7 for part in parts):
                raise ValueError
        except ValueError:
            self.fail(f"{value!r} is not a time; expected seconds (90) or minutes:seconds (1:30)", param, ctx)
        total = 0.0
        for part in parts:
            total = total * 60 + part
        return total


def examples(*lines: str) -> str:
    """An epilog of example command lines, kept as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
