"""Trains the tiny base from nothing on the arena, so that fine-tuning starts from a model that already sees.

python -m scripts.tiny_base.train --config configs/tiny_base.yaml [key=value …]

All weights learn. Two helpers that are thrown away afterwards make it quick on a CPU: one reads from the vision tower
which things stand in which part of the picture, the other, before the answer begins, where the goal's thing is. The
tower first learns to see alone, at a higher rate: three times the pictures a second, and each teaches all goals.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.core import HORIZON, KEYBOARD_12, Plan
from protege.core.card import ModelCard
from protege.core.frame import decode_jpeg
from protege.errors import ProtegeError, UserError
from protege.settings import load_config, to_fields
from protege.training.augment import shifted
from protege.vlm.inputs import AnswerTemplate, Tokens
from protege.vlm.load import load_model, load_processor, without_bars
from protege.vlm.pixels import PixelSpec
from protege.vlm.tiny import SIZES, build_tiny, save_processor

log = logging.getLogger(__name__)

VALIDATION_PART: Final = 40
"""One room in so many is held back, by its seed."""


@dataclass(frozen=True)
class BaseConfig:
    """One base.

    data: what scripts.tiny_base.data wrote; output: a new folder; start: a base of the same size whose weights to go on
    from, random ones where it is not given. see_steps, see_rate: of the tower alone; steps,
    learning_rate: of the whole model; decay: the last part of the steps, in which the rate falls to 0. see_weight,
    point_weight: of the two helpers; template_weight: of the tokens around the actions. brightness, shift: as in
    fine-tuning.
    """

    data: str = "dataset/tiny_base.npz"
    output: str = "models/tiny-qwen3-vl"
    start: str | None = None
    size: str = "small"
    seed: int = 0
    see_steps: int = 2000
    see_rate: float = 1e-3
    steps: int = 4500
    batch: int = 16
    learning_rate: float = 2e-4
    warmup: int = 100
    decay: float = 0.3
    weight_decay: float = 0.01
    template_weight: float = 0.2
    see_weight: float = 1.0
    point_weight: float = 1.0
    brightness: float = 0.15
    shift: int = 4
    log_steps: int = 50
    score_steps: int = 500
    threads: int = 1

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UserError(f"size is one of {', '.join(SIZES)}; got {self.size!r}")
        if not 0 <= self.decay <= 1 or self.steps < 1 or self.batch < 1:
            raise UserError("decay lies between 0 and 1, steps and batch are 1 or more")


class BaseData:
    """The samples that scripts.tiny_base.data wrote; pictures are decoded when asked for."""

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as found:
                parts = {name: found[name] for name in found.files}
            self.jpeg, self.goal, self.plan = parts["jpeg"], parts["goal"], parts["plan"].astype(np.int64)
            self.seen, self.seed = parts["seen"].astype(np.float32), parts["seed"]
            self.sentences = [str(text).split("\n") for text in parts["sentences"]]
            width, height = parts["frame_size"]
            self.frame_size = (int(width), int(height))
            self.stop = parts["stop"]
        except (OSError, KeyError, ValueError) as error:
            raise UserError(
                f"{path}: no data for the base ({error}); make it with: python -m scripts.tiny_base.data {path}"
            ) from None
        if self.plan.shape[1] != HORIZON:
            raise UserError(f"{path}: plans of {self.plan.shape[1]} actions, this version makes {HORIZON}")

    def __len__(self) -> int:
        return len(self.goal)

    def picture(self, i: int) -> NDArray[np.uint8]:
        start = int(self.stop[i - 1]) if i else 0
        return decode_jpeg(self.jpeg[start : int(self.stop[i])].tobytes())

    def split(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions for training and validation; a room is in one of them only."""
        held_back = self.seed % VALIDATION_PART == 0
        return np.flatnonzero(~held_back), np.flatnonzero(held_back)


class Batches:
    """Samples as tensors for the model and for the two helpers."""

    def __init__(self, data: BaseData, processor: Any) -> None:
        self.data = data
        self.tokens = Tokens(processor, KEYBOARD_12)
        self.pixels = PixelSpec.of(processor)
        self.template = AnswerTemplate.of(processor.tokenizer, KEYBOARD_12)
        self.grid = self.pixels.grid(*data.frame_size)
        self.columns = self.grid[2] // self.pixels.merge
        spelled = self.tokens.answer(Plan((frozenset("w"),) * HORIZON))[0]
        self.tail = spelled[len(self.template.ids(np.zeros(HORIZON, np.int64))) :]

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator | None, config: BaseConfig) -> dict[str, Any]:
        """Without `rng` the pictures and the words are left as they are."""
        import torch

        prompts = []
        for i in rows:
            goal, *others = self.data.sentences[self.data.goal[i]]
            if rng is not None and rng.random() < 0.5:
                goal = others[rng.integers(len(others))]
            prompts.append(self.tokens.prompt(goal, self.pixels.tokens(self.grid)))
        answers = np.concatenate([self.template.ids(self.data.plan[rows]), np.tile(self.tail, (len(rows), 1))], axis=1)
        longest = max(map(len, prompts))
        ids = np.full((len(rows), longest + answers.shape[1]), self.tokens.pad_id)
        mask = np.zeros_like(ids)
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            ids[row, : len(prompt) + len(answer)] = np.concatenate([prompt, answer])
            mask[row, : len(prompt) + len(answer)] = 1
        return {
            "inputs": {
                "input_ids": torch.from_numpy(ids),
                "attention_mask": torch.from_numpy(mask),
                "mm_token_type_ids": torch.from_numpy((ids == self.tokens.image_id).astype(np.int64)),
                **self.pictures(rows, rng, config),
            },
            "start": torch.tensor([len(prompt) for prompt in prompts]),
            "answers": torch.from_numpy(answers),
            "plan": torch.from_numpy(self.data.plan[rows]),
            **self.helpers(rows),
        }

    def pictures(self, rows: NDArray[np.int64], rng: np.random.Generator | None, config: BaseConfig) -> dict[str, Any]:
        """What the vision tower takes."""
        import torch

        patches = []
        for i in rows:
            rgb = self.data.picture(int(i))
            if rng is not None:
                dx, dy = rng.integers(-config.shift, config.shift + 1, 2)
                lit = shifted(rgb, int(dx), int(dy)).astype(np.float32) * (1 + config.brightness * rng.uniform(-1, 1))
                rgb = lit.clip(0, 255).astype(np.uint8)
            patches.append(self.pixels.patches(rgb))
        values = self.pixels.pixel_values(torch.from_numpy(np.concatenate(patches)))
        return {"pixel_values": values, "image_grid_thw": torch.tensor([self.grid] * len(rows))}

    def helpers(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """see: (B, columns, G) whether each goal's thing stands in each part of the picture; point: (B,) the part
        in which the asked one is, the last number for nowhere.
        """
        import torch

        place = self.data.seen[rows]  # (B, G) from 0 to 1, nan where it is not seen
        part = np.where(np.isnan(place), -1, np.clip(np.nan_to_num(place) * self.columns, 0, self.columns - 1e-3))
        see = part.astype(np.int64)[:, None, :] == np.arange(self.columns)[None, :, None]
        point = part.astype(np.int64)[np.arange(len(rows)), self.data.goal[rows]]
        point = np.where(np.isnan(place[np.arange(len(rows)), self.data.goal[rows]]), self.columns, point)
        return {"see": torch.from_numpy(see.astype(np.float32)), "point": torch.from_numpy(point)}


class Learner:
    """The model, its helpers and what they are taught."""

    def __init__(self, model: Any, batches: Batches, config: BaseConfig) -> None:
        import torch

        self.model, self.batches, self.config = model, batches, config
        width = model.config.get_text_config().hidden_size
        goals = len(batches.data.sentences)
        self.see = torch.nn.Linear(width, goals)
        self.point = torch.nn.Linear(width, batches.columns + 1)
        self.helpers = torch.nn.ModuleList([self.see, self.point])
        self.slots = torch.from_numpy(batches.template.slots)
        self.actions = torch.tensor(batches.template.actions)
        self._seen: Any = None
        model.model.visual.merger.register_forward_hook(lambda _, __, out: setattr(self, "_seen", out))

    def losses(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Means, by name; `correct` is the part of first actions that are right."""
        import torch
        from torch.nn.functional import cross_entropy

        hidden = self.model.model(**batch["inputs"], use_cache=False).last_hidden_state
        answers, start = batch["answers"], batch["start"]
        at = start[:, None] - 1 + torch.arange(answers.shape[1])
        logits = hidden[torch.arange(len(start))[:, None], at] @ self.model.lm_head.weight.T
        each = cross_entropy(logits.transpose(1, 2), answers, reduction="none")
        action = torch.zeros(answers.shape[1], dtype=torch.bool)
        action[self.slots] = True
        first = logits[:, self.slots[0]][:, self.actions].argmax(-1)
        return {
            "action": each[:, action].mean(),
            "template": each[:, ~action].mean(),
            "see": self.see_loss(batch["see"]),
            "point": cross_entropy(self.point(hidden[torch.arange(len(start)), start - 1]), batch["point"]),
            "correct": (first == batch["plan"][:, 0]).float().mean(),
        }

    def see_loss(self, seen: Any) -> Any:
        """How badly the helper tells, from what the tower made of the last pictures, what stands where."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        # (B * tokens, width) in the order of the picture's parts: rows of columns
        parts = self._seen.reshape(len(seen), -1, self.batches.columns, self._seen.shape[-1]).mean(1)
        return binary_cross_entropy_with_logits(self.see(parts), seen) * 10

    def look(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Any:
        """The first lesson: the tower alone."""
        pictures = self.batches.pictures(rows, rng, self.config)
        self.model.model.visual(pictures["pixel_values"], pictures["image_grid_thw"])
        return self.see_loss(self.batches.helpers(rows)["see"])

    def total(self, losses: dict[str, Any]) -> Any:
        config = self.config
        return (
            losses["action"]
            + config.template_weight * losses["template"]
            + config.see_weight * losses["see"]
            + config.point_weight * losses["point"]
        )


def rate(step: int, steps: int, config: BaseConfig) -> float:
    """What part of the learning rate a step has: warm-up, constant, and a straight way down to 0 at the end."""
    down = (steps - step) / max(config.decay * steps, 1)
    return min(1.0, (step + 1) / max(config.warmup, 1), down)


def train_base(config: BaseConfig) -> Path:
    """Train a base and write it in half precision; returns its folder."""
    import torch

    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    data = BaseData(Path(config.data))
    output = build_tiny(Path(config.output), seed=config.seed, size=config.size)
    model, processor = load_model(config.start or output, device="cpu", dtype="float32"), load_processor(output)
    learner = Learner(model, Batches(data, processor), config)
    train, held_back = data.split()
    model.train()

    def look(step: int) -> dict[str, Any]:
        rng = np.random.default_rng((config.seed, 1, step))
        loss = learner.look(train[rng.integers(len(train), size=config.batch)], rng)
        return {"total": loss, "see": loss}

    def answer(step: int) -> dict[str, Any]:
        rng = np.random.default_rng((config.seed, 2, step))
        rows = train[rng.integers(len(train), size=config.batch)]
        losses = learner.losses(learner.batches.batch(rows, rng, config))
        return {"total": learner.total(losses), **losses}

    def score(history: list[dict[str, float]]) -> None:
        log.info("held-out rooms: %s", json.dumps(validate(learner, held_back)))
        save(model, processor, output, config, data.frame_size, history)

    tower = [*model.model.visual.parameters(), *learner.see.parameters()]
    lesson(look, tower, config.see_steps, config.see_rate, config)
    lesson(
        answer, [*model.parameters(), *learner.helpers.parameters()], config.steps, config.learning_rate, config, score
    )
    return output


def lesson(
    losses: Callable[[int], dict[str, Any]],
    weights: list[Any],
    steps: int,
    learning_rate: float,
    config: BaseConfig,
    score: Callable[[list[dict[str, float]]], None] = lambda history: None,
) -> None:
    """Steps of AdamW on losses(step)["total"], with a progress line now and then."""
    import torch

    # The first gradients are huge; a long memory of their size (0.999) would slow the next thousand steps down
    optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    history: list[dict[str, float]] = []
    began = time.monotonic()
    for step in range(steps):
        found = losses(step)
        if not torch.isfinite(found["total"]):
            raise ProtegeError(f"the loss is {found['total'].detach().item()} at step {step}; lower the learning rate")
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate(step, steps, config)
        found["total"].backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        history.append({name: float(value.detach()) for name, value in found.items()})
        if (step + 1) % config.log_steps == 0:
            recent = history[-config.log_steps :]
            shown = " ".join(f"{name} {np.mean([row[name] for row in recent]):.3f}" for name in recent[0])
            per_s = (step + 1) * config.batch / (time.monotonic() - began)
            log.info("step %d of %d  %s  %.1f samples/s", step + 1, steps, shown, per_s)
        if (step + 1) % config.score_steps == 0 or step + 1 == steps:
            score(history)


def validate(learner: Learner, rows: NDArray[np.int64], count: int = 512) -> dict[str, float]:
    """The same means on rooms that are never trained on."""
    import torch

    rows = np.random.default_rng(0).permutation(rows)[:count]
    learner.model.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(rows), 32):
            losses = learner.losses(learner.batches.batch(rows[start : start + 32], None, learner.config))
            found.append({name: float(value) for name, value in losses.items()})
    learner.model.train()
    return {name: round(float(np.mean([row[name] for row in found])), 4) for name in (found[0] if found else {})}


def save(
    model: Any,
    processor: Any,
    folder: Path,
    config: BaseConfig,
    frame_size: tuple[int, int],
    history: list[dict[str, float]],
) -> None:
    """Weights in half precision, and beside them what they were made of."""
    import copy

    import torch

    with without_bars():
        copy.deepcopy(model).to(torch.float16).save_pretrained(folder)
    save_processor(processor, folder)
    about = {"config": to_fields(config), "steps": len(history), "history": history[:: config.log_steps]}
    card = ModelCard("vision", Path(config.output).name, frame_size=frame_size, config=to_fields(config))
    card.save(folder)
    (folder / "base.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", type=Path, default=Path("configs/tiny_base.yaml"))
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train_base(load_config(BaseConfig, args.config, args.overrides))


if __name__ == "__main__":
    main()
