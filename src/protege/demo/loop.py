"""The demo's stages in order: record, label, train, score, clone, play, and a page that shows them all.

What a stage found is kept in demo.json beside what it made, so a demo that was stopped goes on where it was.
"""

import importlib.util
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from protege.demo import pixels, stages
from protege.demo.page import write_page
from protege.demo.places import Facts, Places
from protege.demo.progress import Say, spoken
from protege.demo.scale import FULL, QUICK, Scale
from protege.demo.window import may_replace
from protege.errors import MissingExtra, UserError

__all__ = ["FULL", "QUICK", "Scale", "run"]

STATE: Final = "demo.json"
VERSION: Final = 1

NEEDED_LATER: Final = {"transformers": "vision", "jax": "cloning"}
"""Libraries and their extras, which are asked for at once: one that is missing should not cost minutes."""

Stage = Callable[[Places, Scale, Say], Facts]

STAGES: Final[dict[str, tuple[str, Stage]]] = {
    "record": ("record the game", stages.record),
    "label": ("label what was played", stages.label_all),
    "train": ("fine-tune the tiny base", stages.fine_tune),
    "score": ("score it before it plays", stages.score),
    "clone": ("train a second policy, from pixels", pixels.clone),
    "play": ("let them play", stages.play),
}


@dataclass(frozen=True)
class Shown:
    """page: the demo's page; facts: what each stage found, by its name."""

    page: Path
    facts: dict[str, Facts]


def run(
    folder: Path,
    scale: Scale = FULL,
    say: Say = lambda text: None,
    *,
    stages: Mapping[str, tuple[str, Stage]] = STAGES,
    write_page: Callable[[Places, dict[str, dict[str, Any]]], Path] = write_page,
    needed: Mapping[str, str] = NEEDED_LATER,
) -> Shown:
    """The whole demo in `folder` (as `dataset`): its recording in raw_playthrough/demo, the rest in demo/.

    One that was stopped goes on where it was; a finished one, or one of another scale, begins anew. UserError if
    something lies there that the demo did not make.
    """
    places = Places(folder)
    may_replace(places.window)
    for library, extra in needed.items():
        if importlib.util.find_spec(library) is None:
            raise MissingExtra(library, extra)
    facts = _begun(places, scale)
    last = len(stages) + 1
    for number, (name, (what, stage)) in enumerate(stages.items(), 1):
        head = f"[{number}/{last}] {what}"
        if name in facts:
            say(f"{head}: done before")
            continue
        say(head)
        began = time.monotonic()
        found = stage(places, scale, lambda text: say(f"      {text}"))
        facts[name] = {**found, "seconds": round(time.monotonic() - began, 1)}
        _save(places, scale, facts)
        say(f"      done in {spoken(time.monotonic() - began)}")
    say(f"[{last}/{last}] put it on one page")
    page = write_page(places, facts)
    _save(places, scale, {**facts, "page": {}})
    return Shown(page, facts)


def _begun(places: Places, scale: Scale) -> dict[str, Facts]:
    """What an earlier run of the same scale has done, if it was not finished; else an empty folder with our mark."""
    facts: dict[str, Facts] = {}
    if places.work.exists() and any(places.work.iterdir()):
        state = _state(places)
        unfinished = "page" not in state["facts"] and places.window.exists()
        if state["scale"] == asdict(scale) and unfinished:
            facts = state["facts"]
        else:
            shutil.rmtree(places.work)
    if not facts:
        places.work.mkdir(parents=True, exist_ok=True)
        _save(places, scale, {})
    return facts


def _state(places: Places) -> Facts:
    """demo.json; UserError if the folder is not the demo's."""
    try:
        state = json.loads((places.work / STATE).read_text(encoding="utf-8"))
        if not isinstance(state["facts"], dict) or state["made_by"] != "protege demo":
            raise TypeError("something else")
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{places.work}: not made by the demo, so it stays; rename it, or give another --out") from None
    return state if state.get("version") == VERSION else {"scale": None, "facts": {}}


def _save(places: Places, scale: Scale, facts: Facts) -> None:
    text = json.dumps({"made_by": "protege demo", "version": VERSION, "scale": asdict(scale), "facts": facts}, indent=1)
    beside = places.work / f".{STATE}.part"
    beside.write_text(text + "\n", encoding="utf-8")
    beside.replace(places.work / STATE)
