"""Decoding with a mouse, by how many forward passes a chunk takes and whether it is the same chunk; what the spellings
of a slot cost; and whether everything about the twelve keys is what it was.
"""

import hashlib
import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.decode import measure as measure_ways
from bench.decode import play_questions
from protege.agent.vision import VisionAgent, VisionOptions
from protege.core.actions import KEYBOARD_12, NO_KEYS, Action, ActionSpace
from protege.core.card import CARD_NAME, ModelCard
from protege.core.chat import prompt, reply
from protege.core.labeled import LabeledSegment, Shape
from protege.core.looking import look
from protege.core.plan import HORIZON, Plan
from protege.evaluation.figures import Figure
from protege.labeling.labels import samples_text
from protege.vlm.tiny import copy_base

MOUSE: Final = ActionSpace(
    "MOUSE", ("w", "s", "a", "d", "space", "ctrl", "mouse_left", "none"), frozenset("wsad"), look=look()
)
DEFAULT_HASHES: Final = {
    "prompt": "70e192607d1a6db06d0f1577f731fefb22213298f1cfa4a87dbe97154d8b5b67",
    "answers": "22d0c3b9c242462d6d44aeae68d4d0e4ec456aa064d1ce7b59edb525fb060d0d",
    "tokens": "9da960917d02ba821b2b01c98ffd93f00be88fd0f83c72bc35753e4d28eee981",
    "samples": "436238ebf0ca2ebe6c9184d821563ff996d09dfc6a39991db9ac24cd4fee6a5d",
}
"""SHA-256 of what `default_space` makes, computed before there was a mouse."""


def measure(
    model: str | Path | None = None,
    chunks: int = 200,
    recordings: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Figure]:
    """model: one that was trained with a mouse, None for the tiny base asked for `MOUSE`; recordings: sessions to take
    frames from, None plays the arena.
    """
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        folder = Path(name)
        source = copy_base(folder / "tiny") if model is None else Path(model)
        if model is None:
            (source / CARD_NAME).unlink(missing_ok=True)  # it says the twelve keys, and MOUSE is asked for
        card = ModelCard.load(source) if (source / CARD_NAME).exists() else None
        space, size = (card.space, card.frame_size) if card else (MOUSE, (160, 120))
        options = VisionOptions(space=space, horizon=card.horizon if card else HORIZON, frame_size=size)
        agent = VisionAgent(source, options=options)
        questions = play_questions(recordings or folder / "play", size, chunks, make=recordings is None)
        times = measure_ways(agent, questions, say)
    same, passes = times.identical(), {way: times.mean_passes(way) for way in times.passes}
    moved = [step for chunk in times.chunks["draft"] if chunk for step in chunk if step & agent.card.space.symbols]
    ms = times.median_ms("draft")
    return [
        Figure("passes_constrained", round(passes["constrained"], 2), f"{passes['constrained']:.2f}"),
        Figure("passes_no_draft", round(passes["no_draft"], 2), f"{passes['no_draft']:.2f}"),
        Figure(
            "passes_draft", round(passes["draft"], 2), f"{passes['draft']:.2f} ({ms:.1f} ms)", "≤ 2.0 on average",
            passes["draft"] <= 2.0,
        ),
        Figure("identical_chunks", same, f"{same} of {len(questions)}", "all", same == len(questions)),
        Figure("chunks", len(questions), str(len(questions))),
        Figure("slots_that_turn", len(moved), f"{len(moved)} of {HORIZON * len(questions)} slots turn the view"),
    ]  # fmt: skip


@dataclass(frozen=True)
class Spelling:
    """A way to write a slot. text: of (keys, bin of yaw, bin of pitch), bins counted from the middle."""

    name: str
    text: Callable[[str, int, int], str]


def _letter(step: int) -> str:
    return MOUSE.look.yaw.letters[step + 10] if MOUSE.look else ""


def _moving(keys: str, yaw: int, pitch: int) -> str:
    return keys + f" {_letter(yaw)}" * bool(yaw) + f" {_letter(pitch).lower()}" * bool(pitch)


SPELLINGS: Final = (
    Spelling("w M k", lambda keys, yaw, pitch: f"{keys} {_letter(yaw)} {_letter(pitch).lower()}"),
    Spelling("w M (only what moves)", _moving),
    Spelling("w 2 0", lambda keys, yaw, pitch: f"{keys} {yaw} {pitch}"),
    Spelling("w+yaw2", lambda keys, yaw, pitch: keys + f"+yaw{yaw}" * bool(yaw) + f"+pitch{pitch}" * bool(pitch)),
)


def spelling_table(tokenizer: Any, answers: int = 500) -> list[tuple[str, float, float, int]]:
    """(spelling, mean tokens of an answer, mean tokens of a slot that turns, most tokens of an axis) of each spelling,
    on random answers of which two thirds of the slots turn.
    """
    rng = random.Random(0)
    rows: list[tuple[str, float, float, int]] = []
    plans = [
        [(rng.choice("wsad"), rng.randint(-10, 10) * (rng.random() < 0.67), rng.randint(-5, 5) * (rng.random() < 0.3))
         for _ in range(HORIZON)]
        for _ in range(answers)
    ]  # fmt: skip

    def tokens(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    for spelling in SPELLINGS:
        texts = [json.dumps({"actions": [spelling.text(*slot) for slot in plan]}) for plan in plans]
        turning = np.mean([tokens(spelling.text(*slot)) for plan in plans for slot in plan if slot[1]])
        most = max(tokens(spelling.text("w", yaw, 0)) - tokens(spelling.text("w", 0, 0)) for yaw in range(-10, 11))
        rows.append((spelling.name, float(np.mean(list(map(tokens, texts)))), float(turning), most))
    return rows


def default_space(tokenizer: Any) -> dict[str, str]:
    """SHA-256 of prompts, answers, their tokens and samples of the twelve keys."""
    rng = random.Random(0)
    keys = KEYBOARD_12.pressable

    def step(most: int) -> Action:
        return frozenset(rng.sample(keys, rng.randint(0, most)))

    plans = [Plan(tuple(step(3) for _ in range(HORIZON))) for _ in range(300)]
    answers = [reply(plan, KEYBOARD_12) for plan in plans]
    segment = LabeledSegment(
        "s_seg000", "s", 0, 40, "Open the door", goal_stop=40, space=KEYBOARD_12, shape=Shape(),
        held=tuple(step(3) for _ in range(40)), slots=tuple([step(1) for _ in range(36)] + [NO_KEYS] * 4),
    )  # fmt: skip
    found = {
        "prompt": "\n".join(prompt(goal, horizon) for goal in ("Open the door", 'Say "go"') for horizon in (1, 7, 14)),
        "answers": "\n".join(answers),
        "tokens": json.dumps([tokenizer(text, add_special_tokens=False)["input_ids"] for text in answers]),
        "samples": samples_text(segment) + json.dumps(segment.to_json()),
    }
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in found.items()}


def default_space_unchanged() -> Figure:
    """Whether prompt, answers, tokens and samples of the twelve keys are those of before there was a mouse."""
    from importlib.resources import files

    from transformers import AutoTokenizer

    found = default_space(AutoTokenizer.from_pretrained(str(files("protege.vlm") / "data")))
    changed = [name for name, digest in found.items() if digest != DEFAULT_HASHES[name]]
    text = f"{', '.join(changed)} changed" if changed else "prompt, answers, tokens and samples are what they were"
    return Figure("default_space_unchanged", not changed, text, "true", not changed)
