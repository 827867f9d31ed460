"""How every benchmark shows its figures: a table for people, one JSON object for programs."""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A figure under its JSON key. target: what it should be, in words; good: whether it is, None without a target."""

    key: str
    value: Any
    text: str
    target: str = ""
    good: bool | None = None


def as_json(figures: Iterable[Figure]) -> str:
    return json.dumps({figure.key: figure.value for figure in figures} | {"machine": machine()})


def as_table(figures: Iterable[Figure]) -> str:
    """One figure a line: key, value, target and whether it was met."""
    rows = [(f.key, f.text, f.target, {True: "met", False: "MISSED", None: ""}[f.good]) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, f"measured on {describe(machine())}"])


def machine() -> dict[str, object]:
    """What this was measured on."""
    return {
        "system": platform.platform(terse=True),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def describe(facts: Mapping[str, object]) -> str:
    return f"{facts['processor']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 (not a file one keeps)
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
