"""The demo's page: one HTML file with everything in it."""

import base64
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from protege.core.session import find_sessions
from protege.demo.clip import clip
from protege.demo.places import Places
from protege.demo.progress import spoken
from protege.demo.stages import PIXELS, VLM
from protege.evaluation.figures import describe, machine

TEMPLATE: Final = "page.html.jinja"
BAR: Final = 420
"""Pixels of a success rate of 1."""


def write_page(places: Places, facts: dict[str, dict[str, Any]]) -> Path:
    """Write the page, whole or not at all."""
    text = (files("protege.demo") / TEMPLATE).read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    curves = places.model / "curves.png"
    shown = page.from_string(text).render(
        facts=facts,
        clip=data_uri(clip(find_sessions(places.runs)), "webp"),
        player=data_uri(clip([places.window], most=60), "webp"),
        curves=data_uri(curves.read_bytes(), "png") if curves.exists() else None,
        bars=[(name, found, BAR) for name, found in facts["play"]["rates"].items()],
        trained=(VLM, PIXELS),
        played=facts["play"]["rates"][VLM]["of"],
        machine=describe(machine()),
        took=spoken(sum(found.get("seconds", 0) for found in facts.values())),
        spoken=spoken,
    )
    beside = places.page.with_name(f".{places.page.name}.part")
    beside.write_text(shown, encoding="utf-8")
    beside.replace(places.page)
    return places.page


def data_uri(image: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
