"""python -m bench decode: how many forward passes and milliseconds a chunk of actions takes, and is it the same chunk?

Naive `generate`, `generate` constrained to valid answers token by token, and our decoder without and with drafts, on
the same questions: frames of recorded arena play in their order. What passes before the first token is measured too,
since no way of decoding can do without it. Then the same with earlier frames in the prompt.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from protege.agent.vision import VisionAgent, VisionOptions, first_guess, shifted
from protege.arena.engine import drawn_size
from protege.arena.record import record_episodes
from protege.arena.rooms import EVAL_SEED_START
from protege.core.actions import Action
from protege.core.card import CARD_NAME, ModelCard
from protege.core.chat import HISTORY_PROMPT_VERSION
from protege.core.frame import Frame
from protege.core.history import History
from protege.core.session import Session
from protege.errors import UserError
from protege.evaluation.figures import Figure
from protege.vlm.load import load_model
from protege.vlm.shape import AnswerShape, Node
from protege.vlm.tiny import TinySize, build_tiny, copy_base

Question = tuple[Frame, str]
"""A frame of play and the goal it was played for."""

HALF_BILLION: Final = TinySize(1024, 36, 768, 12, (3, 6, 9))
"""About 0.5 billion parameters in the shape of a Qwen3-VL; its weights are random, so only its times mean anything."""
HISTORY: Final = History(frames=2, stride=10, scale=0.5)
WAYS: Final = ("naive", "constrained", "no_draft", "draft", "right_draft", "naive_first", "our_first")
"""right_draft: what a guess saves that is wholly right; the last two: up to where the first token is known."""


@dataclass
class Times:
    """Passes and milliseconds of every chunk, and the chunks themselves, by way of decoding."""

    passes: dict[str, list[int]] = field(default_factory=lambda: {way: [] for way in WAYS})
    ms: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    chunks: dict[str, list[tuple[Action, ...] | None]] = field(default_factory=lambda: {way: [] for way in WAYS})

    def mean_passes(self, way: str) -> float:
        return float(np.mean(self.passes[way]))

    def median_ms(self, way: str) -> float:
        return float(np.median(self.ms[way]))

    def speedup(self, way: str) -> float:
        """How many times quicker than naive."""
        return self.median_ms("naive") / self.median_ms(way)

    def speedup_after_first(self, way: str) -> float:
        """The same, without what both spend on the picture, the prompt and their first pass."""
        ours = np.median(np.subtract(self.ms[way], self.ms["our_first"]))
        return float(np.median(np.subtract(self.ms["naive"], self.ms["naive_first"])) / max(ours, 1e-3))

    def identical(self) -> int:
        """Chunks that our decoder, with and without drafts, has as the constrained token-by-token decoding has them."""
        rows = zip(*(self.chunks[way] for way in ("constrained", "no_draft", "draft")), strict=True)
        return sum(a == b == c for a, b, c in rows)


def run(
    model: str | Path | None = None,
    chunks: int = 500,
    big_chunks: int = 4,
    say: Callable[[str], None] = lambda text: None,
    recordings: Path | None = None,
    big_size: TinySize = HALF_BILLION,
) -> list[Figure]:
    """model: None for the tiny base that comes with protege; big_chunks: chunks of the shape `big_size` with random
    weights, 0 leaves it out; recordings: sessions to take the frames from, None plays the arena.
    """
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        folder = Path(name)
        if model is None:
            model = copy_base(folder / "tiny")
            say("no --model: the tiny base that comes with protege")
        agent = VisionAgent(model, options=VisionOptions(frame_size=None if _has_card(model) else (160, 120)))
        questions = play_questions(
            recordings or folder / "play", agent.card.frame_size, chunks, make=recordings is None
        )
        say(f"{len(questions)} frames of arena play, {agent.card.frame_size[0]}x{agent.card.frame_size[1]}")
        figures = _figures(measure(agent, questions, say), len(questions))
        if agent.card.history is None and Path(model).is_dir():
            say(f"with {HISTORY.frames} earlier frames")
            figures += _history_figures(model, folder / "history", agent, questions, say)
        if big_chunks:
            say("a large shape with random weights")
            built = build_tiny(folder / "big", size=big_size)
            big = VisionAgent(built, options=VisionOptions(frame_size=agent.card.frame_size))
            figures += _big_figures(measure(big, questions[:big_chunks], say), big)
    return figures


def _has_card(model: str | Path) -> bool:
    return (Path(model) / CARD_NAME).exists()


def play_questions(folder: Path, size: tuple[int, int], count: int, make: bool = True) -> list[Question]:
    """Frames of play in their order, each with its goal; recorded in unseen rooms unless they lie in `folder`."""
    questions: list[Question] = []
    seed = EVAL_SEED_START
    folders = iter(() if make else sorted(folder.iterdir()))
    while len(questions) < count:
        if make:
            found = record_episodes(folder, 1, seed, drawn_size(size))[0].folder
            seed += 1
        elif (found := next(folders, None)) is None:
            raise UserError(f"{folder}: {len(questions)} frames with a goal, expected {count}; record more")
        session = Session.open(found)
        for span in session.spans():
            if span.goal is not None:
                questions += [(session.frame(i), span.goal) for i in range(span.start, span.stop)]
    return questions[:count]


def measure(agent: VisionAgent, questions: list[Question], say: Callable[[str], None]) -> Times:
    """Every question, decoded in four ways on the same inputs; the picture's preparation is not in the times.

    `generate` runs on a copy of the model as it is loaded, before the decoder makes anything quicker.
    """
    times = Times()
    stock = load_model(agent.source, merge=True)
    before: tuple[Frame, str, tuple[Action, ...]] | None = None
    agent.warm_up()
    for number, (frame, goal) in enumerate(questions):
        inputs = agent.inputs(frame.rgb, goal, agent.earlier(frame, goal))
        draft = first_guess(agent.card.horizon)
        if before is not None and before[1] == goal and frame.t_ns > before[0].t_ns:
            draft = shifted(before[2], round((frame.t_ns - before[0].t_ns) * agent.card.frame_hz / 1e9))
        for way in WAYS:
            draft = times.chunks["no_draft"][-1] if way == "right_draft" else draft
            start = time.perf_counter()
            chunk, passes = _WAYS[way](agent, stock, inputs, draft)
            times.ms[way].append((time.perf_counter() - start) * 1e3)
            times.passes[way].append(passes)
            times.chunks[way].append(chunk)
        ours = times.chunks["draft"][-1]
        assert ours is not None
        before = (frame, goal, ours)
        if (number + 1) % 100 == 0:
            say(f"{number + 1} of {len(questions)} frames")
    return times


def with_history(model: str | Path, folder: Path, history: History, size: tuple[int, int]) -> Path:
    """A copy of a model's folder with a card that says a history; it need not have been trained with one."""
    shutil.copytree(model, folder)
    card = ModelCard.load(folder) if _has_card(folder) else ModelCard("vision", str(model), frame_size=size)
    replace(card, prompt_version=HISTORY_PROMPT_VERSION, history=history).save(folder)
    return folder


def decision_ms(agents: list[VisionAgent], questions: list[Question]) -> list[float]:
    """Mean milliseconds of a decision by each agent, from the frame on; by turns, so that all share what else runs.

    CPU time of this thread, on which small models run: other work on the machine does not count.
    """
    spent = [0.0] * len(agents)
    for agent in agents:
        agent.warm_up()
    for frame, goal in questions:
        for number, agent in enumerate(agents):
            start = time.thread_time()
            agent.predict(frame, goal)
            spent[number] += time.thread_time() - start
    return [seconds * 1e3 / len(questions) for seconds in spent]


def generated(agent: VisionAgent, model: Any, inputs: dict[str, Any], constrained: bool) -> tuple[list[int], int]:
    """The answer's tokens as transformers' own `generate` finds them, greedily, and its forward passes.

    constrained: only tokens that some valid answer goes on with. Both stop at the end of turn, or where the longest
    answer would: a model that never ends its turn is not charged for it.
    """
    shape = agent.decoder.shape
    prompt = inputs["input_ids"].shape[1]
    stop = agent.processor.tokenizer.eos_token_id
    options: dict[str, Any] = {"max_new_tokens": shape.longest + len(shape.tail) + 1, "do_sample": False}
    if constrained:
        options["prefix_allowed_tokens_fn"] = lambda _, ids: continuations(shape, ids[prompt:].tolist(), stop)
    with _counted(model) as count:
        ids = model.generate(**inputs, **options)
    return ids[0, prompt:].tolist(), count[0]


def continuations(shape: AnswerShape, tokens: list[int], stop: int) -> list[int]:
    """The tokens that may follow the beginning of an answer: written plainly, as a reference for the decoder."""
    at = 0
    for place in range(shape.places):
        for token in shape.after(place - 1) if place else shape.head:
            if at == len(tokens):
                return [token]
            at += 1
        node: Node = shape.part(place).root
        last = shape.sep[0] if place < shape.places - 1 else shape.tail[0]
        enders = [last] if shape.ends_slot(place) else list(shape.part(place + 1).root.children)
        while at < len(tokens) and not (node.choice is not None and tokens[at] in enders):
            node = node.children[tokens[at]]
            at += 1
        if at == len(tokens):
            return [*node.children, *(enders if node.choice is not None else [])]
    rest = [*shape.tail, stop]
    return [rest[min(len(tokens) - at, len(rest) - 1)]]


def _generate(
    agent: VisionAgent, model: Any, inputs: dict[str, Any], constrained: bool
) -> tuple[tuple[Action, ...] | None, int]:
    from protege.core.chat import read_reply

    tokens, passes = generated(agent, model, inputs, constrained)
    text = agent.processor.tokenizer.decode(tokens, skip_special_tokens=True)
    try:
        return read_reply(text, agent.card.space, agent.card.horizon).steps, passes
    except ValueError:
        return None, passes  # a naive answer may be anything


def _first_token(agent: VisionAgent, model: Any, inputs: dict[str, Any], _: Any) -> tuple[None, int]:
    model.generate(**inputs, max_new_tokens=1, do_sample=False)
    return None, 1


def _our_first_pass(agent: VisionAgent, _: Any, inputs: dict[str, Any], __: Any) -> tuple[None, int]:
    import torch

    reader = agent.decoder.reader
    with torch.inference_mode():
        reader.look(inputs)
        reader.read(list(agent.decoder.shape.head), 1).cpu()
    return None, 1


def _ours(
    agent: VisionAgent, _: Any, inputs: dict[str, Any], draft: tuple[Action, ...] | None
) -> tuple[tuple[Action, ...] | None, int]:
    chunk = agent.decoder.decode(inputs, draft)
    return chunk.actions, chunk.passes


_WAYS: Final[dict[str, Callable[..., tuple[tuple[Action, ...] | None, int]]]] = {
    "naive": lambda agent, model, inputs, draft: _generate(agent, model, inputs, constrained=False),
    "constrained": lambda agent, model, inputs, draft: _generate(agent, model, inputs, constrained=True),
    "no_draft": lambda agent, model, inputs, draft: _ours(agent, model, inputs, None),
    "draft": _ours,
    "right_draft": _ours,
    "naive_first": _first_token,
    "our_first": _our_first_pass,
}


@contextmanager
def _counted(model: Any) -> Iterator[list[int]]:
    """Counts the forward passes of the language model."""
    count = [0]

    def add(*_: Any) -> None:
        count[0] += 1

    hook = model.get_decoder().register_forward_pre_hook(add)
    try:
        yield count
    finally:
        hook.remove()


def _figures(times: Times, chunks: int) -> list[Figure]:
    speed = {way: times.speedup(way) for way in ("no_draft", "draft")}
    passes = {way: times.mean_passes(way) for way in WAYS}
    ms = {way: f"{times.median_ms(way):.1f} ms" for way in WAYS}
    plain = f"{passes['constrained']:.2f} ({ms['constrained']})"
    most = max(times.passes["no_draft"])
    same = times.identical()
    share = times.median_ms("naive_first") / times.median_ms("naive")
    return [
        Figure("passes_naive", round(passes["naive"], 2), f"{passes['naive']:.2f} ({ms['naive']} a chunk)"),
        Figure("passes_constrained", round(passes["constrained"], 2), plain),
        Figure("passes_no_draft", most, f"{most} at most ({ms['no_draft']})", "≤ 7", most <= 7),
        Figure(
            "passes_draft", round(passes["draft"], 2), f"{passes['draft']:.2f} ({ms['draft']})", "≤ 2.0 on average",
            passes["draft"] <= 2.0,
        ),
        Figure(
            "latency_speedup_no_draft", round(speed["no_draft"], 2), f"{speed['no_draft']:.1f}x", "≥ 2.8x",
            speed["no_draft"] >= 2.8,
        ),
        Figure("latency_speedup", round(speed["draft"], 2), f"{speed['draft']:.1f}x", "≥ 6x", speed["draft"] >= 6),
        Figure("first_token_share", round(share, 3), f"{share:.0%} of naive ({ms['naive_first']})"),
        Figure("identical_chunks", same, f"{same} of {chunks}", "all", same == chunks),
        Figure("chunks", chunks, str(chunks)),
    ]  # fmt: skip


def _history_figures(
    model: str | Path, folder: Path, agent: VisionAgent, questions: list[Question], say: Callable[[str], None]
) -> list[Figure]:
    shown = VisionAgent(with_history(model, folder, HISTORY, agent.card.frame_size))
    same, chunks = measure(shown, questions, say).identical(), len(questions)
    one, several = decision_ms([agent, shown], questions)
    ratio = several / one
    text = f"{ratio:.2f} ({several:.1f} ms a decision, {one:.1f} with one frame)"
    return [
        Figure("history_identical_chunks", same, f"{same} of {chunks}", "all", same == chunks),
        Figure("history_ms_ratio", round(ratio, 3), text, "≤ 1.15", ratio <= 1.15),
    ]


def _big_figures(times: Times, agent: VisionAgent) -> list[Figure]:
    weights = sum(weight.numel() for weight in agent.loaded.parameters()) / 1e9
    chunks, same = len(times.ms["naive"]), times.identical()
    share = times.median_ms("naive_first") / times.median_ms("naive")
    figures = [Figure("big_parameters", round(weights, 2), f"{weights:.2f} billion, random, {chunks} chunks")]
    for way in WAYS:
        ms = times.median_ms(way)
        figures.append(Figure(f"big_ms_{way}", round(ms, 1), f"{ms:.0f} ms, {times.mean_passes(way):.2f} passes"))
    figures.append(Figure("big_first_token_share", round(share, 3), f"{share:.0%} of naive"))
    for way in ("no_draft", "draft", "right_draft"):
        whole, after = times.speedup(way), times.speedup_after_first(way)
        figures.append(Figure(f"big_speedup_{way}", round(whole, 2), f"{whole:.1f}x"))
        figures.append(Figure(f"big_decode_speedup_{way}", round(after, 2), f"{after:.1f}x after the first token"))
    return [*figures, Figure("big_identical_chunks", same, f"{same} of {chunks}", "all", same == chunks)]
