"""The vision agent: a Qwen3-VL that looks at a frame, reads a goal and answers with the next actions."""

import importlib.util
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protege.agent.decode import Chunk, ChunkDecoder
from protege.agent.recall import Recall
from protege.core.actions import KEYBOARD_12, NO_KEYS, Action, ActionSpace
from protege.core.card import CARD_NAME, ModelCard
from protege.core.frame import Frame
from protege.core.plan import HORIZON, Plan
from protege.errors import MissingExtra, UserError
from protege.vlm.pixels import Grid, fit, read_picture
from protege.vlm.shape import AnswerShape

if TYPE_CHECKING:
    from torch import Tensor, nn

Picture = Image.Image | NDArray[np.uint8] | str | Path
WARM_UPS: Final = 2
SMALL_WEIGHTS: Final = 50_000_000
BACKENDS: Final = ("transformers", "unsloth")
DECODINGS: Final = ("auto", "greedy")


@dataclass(frozen=True)
class VisionOptions:
    """temperature: 0 takes the best action, above it slots are sampled; decoding: without a temperature, "auto" (by the
    done_threshold of the model's card, if it has one) or "greedy" (the likeliest action of every slot); backend:
    "transformers" or "unsloth"; device: "auto", "cpu", "cuda"; four_bit: load the base in 4 bits; draft: guess from the
    plan before (the actions stay the same); frame_size: what the caller will show, None for any size; seed: of
    sampling.
    """

    temperature: float = 0.0
    backend: str = "transformers"
    device: str = "auto"
    four_bit: bool = False
    draft: bool = True
    space: ActionSpace = KEYBOARD_12
    horizon: int = HORIZON
    frame_size: tuple[int, int] | None = None
    seed: int = 0
    decoding: str = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 5:
            raise UserError(f"--temperature {self.temperature:g}: expected 0 (always the best action) to 5")
        if self.decoding not in DECODINGS:
            raise UserError(f"--decoding {self.decoding}: expected one of {', '.join(DECODINGS)}")
        if self.backend not in BACKENDS:
            raise UserError(f"backend {self.backend!r}: expected one of {', '.join(BACKENDS)}")


@dataclass(frozen=True)
class Seen:
    """A picture as `Pictures` gives it. values: (patches, D) float32; grid: (time, rows, columns) of its patches."""

    values: "Tensor"
    grid: Grid


class VisionAgent:
    """Implements `core.plan.Policy` with a model: a LoRA adapter's folder, a merged model's, or a base model."""

    def __init__(self, model: str | Path, goal: str = "", options: VisionOptions | None = None) -> None:
        """Loads the model; UserError if its card says it was made for something else."""
        from protege.vlm.inputs import Tokens
        from protege.vlm.load import base_of, is_adapter, load_processor
        from protege.vlm.pictures import pictures_of

        self.options = options or VisionOptions()
        self.card = read_card(model, self.options)
        self.source = model
        self.goal = goal
        self.temperature = self.options.temperature
        self.last: Chunk | None = None
        self._rng = random.Random(self.options.seed)
        self._before: tuple[int, str, Plan] | None = None
        loaded = _load(model, self.options)
        _limit_threads(loaded)
        has_processor = not is_adapter(model) or (Path(model) / "preprocessor_config.json").exists()
        processor = load_processor(model if has_processor else base_of(Path(model)))
        self._tokens = Tokens(processor, self.card.space, self.card.horizon)
        self._pixels = pictures_of(processor)
        shape = AnswerShape.of(
            processor.tokenizer, self.card.space, self.card.horizon, self.card.chords, self._tokens.lead
        )
        self.decoder = ChunkDecoder(loaded, shape)
        self._device = next(loaded.parameters()).device
        history = self.card.history
        self._recall = None if history is None else Recall(history, self.card.frame_hz, self._see_small)
        self.loaded, self.processor = loaded, processor

    def predict_actions(self, image: Picture, goal: str | None = None) -> list[str]:
        """The next actions as text ("w", "left", "none"). image: a PIL image, an (H, W, 3) uint8 array or a file.

        A model with a history is shown none, as at the beginning of play.
        """
        chunk = self._decode(self.inputs(_pixels_of(image), goal or self.goal), None)
        return [self.card.space.spell(action) for action in chunk.actions]

    def predict(self, frame: Frame, goal: str) -> Plan:
        inputs = self.inputs(frame.rgb, goal, self.earlier(frame, goal))
        plan = Plan(self._decode(inputs, self._guess(frame.t_ns, goal)).actions)
        self._before = (frame.t_ns, goal, plan)
        return plan

    def probabilities(self) -> tuple[float, ...]:
        return () if self.last is None else self.last.probabilities

    def warm_up(self) -> None:
        width, height = self.card.frame_size
        for number in range(WARM_UPS):
            self.predict(Frame(np.zeros((height, width, 3), np.uint8), number), self.goal or "Go")
        self._before = None
        if self._recall is not None:
            self._recall.forget()

    def earlier(self, frame: Frame, goal: str) -> list[Seen]:
        """The earlier frames that the model sees beside this one, the oldest first; keeps this one for those that come.

        None where the model's card says no history.
        """
        return [] if self._recall is None else self._recall.earlier(frame, goal)

    def inputs(self, rgb: NDArray[np.uint8], goal: str, earlier: Sequence[Seen] = ()) -> "dict[str, Tensor]":
        """What the model takes for a frame, a goal and earlier frames, on its device."""
        import torch

        seen = [*earlier, self._see(fit(rgb, self.card.frame_size))]
        prompt = self._tokens.prompt(goal, *(self._pixels.tokens(one.grid) for one in seen))
        ids = torch.from_numpy(prompt)[None].to(self._device)
        named = {
            "input_ids": ids,
            "mm_token_type_ids": (ids == self._tokens.image_id).long(),
            "image_grid_thw": torch.tensor([one.grid for one in seen], device=self._device),
        }
        return self._pixels.inputs(named, torch.cat([one.values for one in seen]) if earlier else seen[0].values)

    def _see_small(self, rgb: NDArray[np.uint8]) -> Seen:
        """An earlier frame, made smaller by the same two steps as in training."""
        assert self.card.history is not None
        return self._see(fit(fit(rgb, self.card.frame_size), self.card.history.size(*self.card.frame_size)))

    def _see(self, rgb: NDArray[np.uint8]) -> Seen:
        import torch

        patches = torch.from_numpy(self._pixels.patches(rgb)).to(self._device)
        return Seen(self._pixels.pixel_values(patches), self._pixels.grid(rgb.shape[1], rgb.shape[0]))

    def _decode(self, inputs: "dict[str, Tensor]", draft: tuple[Action, ...] | None) -> Chunk:
        threshold = self.card.done_threshold if self.options.decoding == "auto" else None
        self.last = self.decoder.decode(inputs, draft, self.temperature, self._rng, threshold)
        return self.last

    def _guess(self, t_ns: int, goal: str) -> tuple[Action, ...] | None:
        """The plan before, moved on by the time that has passed; at a goal's beginning, one action that goes on."""
        if not self.options.draft:
            return None
        if self._before is None or self._before[1] != goal:
            return first_guess(self.card.horizon)
        before_ns, _, plan = self._before
        passed = round((t_ns - before_ns) * self.card.frame_hz / 1e9)
        return shifted(plan.steps, passed)


def load(folder: str, options: VisionOptions) -> VisionAgent:
    """A vision model's folder, for `policies.KINDS`."""
    return VisionAgent(folder, options=options)


def first_guess(horizon: int) -> tuple[Action, ...]:
    """Where there is no plan before: as soon as the first slot is known, all others are guessed to be like it."""
    return (NO_KEYS,) * horizon


def shifted(steps: tuple[Action, ...], passed: int) -> tuple[Action, ...]:
    """Steps moved on by `passed` slots (not back), the last one repeated."""
    left = steps[min(max(passed, 0), len(steps) - 1) :]
    return left + (left[-1],) * (len(steps) - len(left))


def read_card(model: str | Path, options: VisionOptions) -> ModelCard:
    """A model's card, checked; a base model without one is taken as made for what is asked."""
    folder = Path(model)
    if not (folder / CARD_NAME).exists() and not (folder / "adapter_config.json").exists():
        card = ModelCard("vision", str(model), options.space, options.horizon)
        return replace(card, frame_size=options.frame_size) if options.frame_size else card
    card = ModelCard.load(folder)
    card.require(kind="vision", space=options.space, horizon=options.horizon, prompt_version=card.needed_prompt)
    if options.frame_size is not None:
        card.require(frame_size=options.frame_size)
    return card


def _load(model: str | Path, options: VisionOptions) -> Any:
    from protege.vlm.load import load_model

    if options.backend == "unsloth":
        return _load_unsloth(model, options)
    return load_model(model, four_bit=options.four_bit, device=options.device, merge=not options.four_bit)


def _limit_threads(loaded: "nn.Module") -> None:
    """A small model on a CPU runs on one thread: waiting for a second one, on a machine that also runs a game, costs
    more than it saves (measured: 3 to 10 times slower when the cores are busy).
    """
    import torch

    weights = sum(weight.numel() for weight in loaded.parameters())
    if next(loaded.parameters()).device.type == "cpu" and weights < SMALL_WEIGHTS:
        torch.set_num_threads(1)


def _load_unsloth(model: str | Path, options: VisionOptions) -> Any:
    import torch

    from protege.vlm.load import resolve_device
    from protege.vlm.unsloth import ON_CPU
    from protege.vlm.unsloth import load as load_with_unsloth

    device = resolve_device(options.device)
    if not device.startswith("cuda") and os.environ.get(ON_CPU) != "1":
        found = "and torch sees none" if not torch.cuda.is_available() else f"not {device}"
        raise UserError(f"backend unsloth needs a CUDA device, {found}; use backend transformers")
    if importlib.util.find_spec("unsloth") is None:
        raise MissingExtra("unsloth", "unsloth")
    loaded, fast = load_with_unsloth(
        model, four_bit=options.four_bit, device=device, instead="use --backend transformers"
    )
    fast.for_inference(loaded)
    return loaded


def _pixels_of(image: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a picture in any of its usual forms."""
    if isinstance(image, str | Path):
        return read_picture(Path(image))
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    return Frame(np.asarray(image), 0).rgb
