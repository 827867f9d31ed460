"""The demo's page: one HTML file with everything in it."""

from pathlib import Path
from typing import Any, Final

from protege.arena.tasks import GOALS
from protege.core.files import write_text
from protege.core.session import find_sessions
from protege.demo.clip import clip
from protege.demo.places import Places
from protege.demo.progress import spoken
from protege.demo.scale import FIRST_GOALS
from protege.demo.stages import PIXELS, VLM
from protege.evaluation.figures import describe, machine
from protege.learn.pages import data_uri, render

BAR: Final = 420
"""Pixels of a success rate of 1."""


def write_page(places: Places, facts: dict[str, dict[str, Any]]) -> Path:
    """Write the page, whole or not at all."""
    curves = places.model / "curves.png"
    text = render(
        "demo/page.html.jinja",
        facts=facts,
        clip=data_uri(clip(find_sessions(places.runs)), "image/webp"),
        player=data_uri(clip([places.window], most=60), "image/webp"),
        curves=data_uri(curves.read_bytes()) if curves.exists() else None,
        bars=[(name, found, BAR) for name, found in facts["play"]["rates"].items()],
        trained=(VLM, PIXELS),
        goals={GOALS[name].sentence: name for name in FIRST_GOALS},
        played=facts["play"]["rates"][VLM]["of"],
        machine=describe(machine()),
        took=spoken(sum(found.get("seconds", 0) for found in facts.values())),
        spoken=spoken,
    )
    write_text(places.page, text)
    return places.page
