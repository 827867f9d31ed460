"""A run of the agent: what it planned and how sure it was, and what became of the corrections in it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protege.agent.record import PLANS
from protege.core.card import ModelCard
from protege.core.events import HUMAN
from protege.core.fields import is_int, is_number
from protege.core.files import Json, parse_json, read_bytes
from protege.core.labeled import NEEDS_REVIEW
from protege.core.session import Session
from protege.errors import UserError
from protege.studio.segments import identity
from protege.studio.shared import Studio
from protege.studio.verdict import metrics_of, verdict
from protege.studio.where import model_folders

MOST_PLANS: Final = 64 << 20
FIRST: Final = "first_action_accuracy"


def plans_of(session: Session) -> list[Json]:
    """The plans of a run as its page shows them, in order; none where the run kept none, or they cannot be read.

    at: milliseconds from the first frame to when the plan was there; took: of these, thinking; steps: its actions; p:
    of each how likely it was, or null.
    """
    try:
        lines = read_bytes(session.folder / PLANS, MOST_PLANS).splitlines()
    except (OSError, ValueError):
        return []
    found: list[Json] = []
    for line in lines:
        try:
            plan = _plan(parse_json(line), int(session.t_ns[0]))
        except (ValueError, KeyError, TypeError):
            continue  # torn by a kill
        found.append(plan)
    return found


def _plan(fields: Any, first_ns: int) -> dict[str, Json]:
    """KeyError, TypeError or ValueError if it is no plan."""
    t_ns, took, steps, sure = fields["t_ns"], fields["latency_ns"], fields["plan"], fields.get("p")
    if not is_int(t_ns) or not is_int(took) or not all(isinstance(step, str) for step in steps):
        raise ValueError("not a plan")
    if sure is not None and (len(sure) != len(steps) or not all(is_number(p) for p in sure)):
        raise ValueError("not its probabilities")
    return {"at": round((t_ns + took - first_ns) / 1e6), "took": round(took / 1e6), "steps": list(steps), "p": sure}


@dataclass(frozen=True)
class Learned:
    """A model with its score in words. before, now: first actions right of 100, "-" where nobody knows."""

    id: str
    name: str
    words: str
    before: str
    now: str


@dataclass(frozen=True)
class Learning:
    """What a run teaches. corrected: frames that a person played; segments, waiting: labeled segments of it, and of
    these to be reviewed; known: all labeled segments; trained: whether there is a model to go on from; player: the
    model that played; after: models that were trained on the run; machine: what training will take here.
    """

    corrected: int
    segments: int
    waiting: int
    known: int
    trained: bool
    player: Learned | None
    after: tuple[Learned, ...]
    machine: str


def learning_from(studio: Studio, session: Session) -> Learning:
    corrected = sum(span.stop - span.start for span in session.spans() if span.by == HUMAN)
    cards = studio.segments.all()
    mine = [card for card in cards if card.session == session.name]
    after: list[Learned] = []
    player: Learned | None = None
    models = model_folders(studio.root / "models")
    played = str(session.info.extra.get("model", ""))
    for name, folder in models.items():
        metrics = metrics_of(folder)
        try:
            words = verdict(metrics, ModelCard.load(folder).space).first
        except UserError as error:
            words = str(error)
        before = (metrics or {}).get("before")
        one = Learned(identity(name), name, words, _of_100(before), _of_100(metrics))
        if _taught(metrics, session.name):
            after.append(one)
        if played and (studio.root / played).resolve() == folder.resolve():
            player = one
    waiting = sum(card.status == NEEDS_REVIEW for card in mine)
    return Learning(corrected, len(mine), waiting, len(cards), bool(models), player, tuple(after), machine_text())


def _of_100(metrics: Mapping[str, Any] | None) -> str:
    value = metrics.get(FIRST) if isinstance(metrics, Mapping) else None
    return f"{100 * value:.0f}" if is_number(value) else "-"


def _taught(metrics: Mapping[str, Any] | None, run: str) -> bool:
    """Whether a model was trained on a run, as its metrics.json says: by recordings, or by segments of one."""
    names = ((metrics or {}).get("trained_on") or {}).get("names")
    return isinstance(names, list) and any(run in (name, *_session_of(name)) for name in names)


def _session_of(name: object) -> tuple[str, ...]:
    return (name.rpartition("_seg")[0],) if isinstance(name, str) else ()


def machine_text() -> str:
    """What training takes on this machine, as far as it can be known without loading anything."""
    if shutil.which("nvidia-smi"):
        return "Training begins by saying what it needs of this GPU, and stops there if it does not fit."
    return (
        "No GPU was found here: the 8B model cannot be trained on this machine; the tiny one takes about 20 minutes "
        "and knows only the built-in game."
    )
