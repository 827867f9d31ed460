"""A Qwen3-VL in this process: through unsloth where that is installed and a CUDA device is there, else transformers."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from PIL import Image

from protege.core.frame import decode_jpeg
from protege.errors import UserError
from protege.labeling.backends.base import Answer, Question

Loaded = tuple[Any, Any]
"""A model and its processor: the types that transformers gives them know neither `generate` nor `.to`."""
DEFAULT_MODEL: Final = "unsloth/Qwen3-VL-8B-Instruct-unsloth-bnb-4bit"
MAX_TOKENS: Final = 64
WITHOUT: Final = "go on without it after: pip uninstall unsloth"


@dataclass(frozen=True)
class Transformers:
    """A model in this process.

    model: a name on the hub or a folder
    batch: questions answered together
    device: "auto", "cpu", "cuda:0" …
    max_tokens: longest answer
    """

    model: str = DEFAULT_MODEL
    batch: int = 4
    device: str = "auto"
    max_tokens: int = MAX_TOKENS

    @property
    def name(self) -> str:
        return self.model

    def answers(self, questions: Iterable[Question]) -> Iterator[Answer]:
        waiting = iter(questions)
        while group := list(itertools.islice(waiting, self.batch)):
            yield from self._generate(group)

    def require_device(self) -> None:
        """UserError where the default model would be loaded without a GPU, before anything is downloaded."""
        from protege.vlm.load import require_vision

        require_vision()
        import torch

        if self.model == DEFAULT_MODEL and self.device == "auto" and not torch.cuda.is_available():
            raise UserError(
                f"no GPU here, and {DEFAULT_MODEL} needs one (8 GB); what works without: name the goal yourself with "
                "--goal, ask a server elsewhere with --backend openai --url, or only try the way with the small model "
                "that protege tiny-base makes and --model (about a second a segment, but it was trained to play: its "
                "answers will need review)"
            )

    @cached_property
    def _loaded(self) -> Loaded:
        """(model, processor), loaded at the first question."""
        from protege.vlm.load import require_vision

        require_vision()
        return self._with_unsloth() or self._with_transformers()

    def _with_unsloth(self) -> Loaded | None:
        """None where unsloth is not to be used, which is decided before it is imported."""
        from protege.vlm.load import load_processor, resolve_device
        from protege.vlm.unsloth import choose, load

        device = resolve_device(self.device)
        if not choose("auto", device).unsloth:
            return None
        model, fast = load(self.model, four_bit=False, device=device, instead=WITHOUT)
        fast.for_inference(model)
        return model, load_processor(self.model)

    def _with_transformers(self) -> Loaded:
        from protege.vlm.load import load_model, load_processor

        return load_model(self.model, device=self.device), load_processor(self.model)

    def _generate(self, questions: list[Question]) -> list[Answer]:
        import torch

        model, processor = self._loaded
        processor.tokenizer.padding_side = "left"  # so that every answer begins right after its question
        inputs = processor.apply_chat_template(
            [_conversation(question) for question in questions],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(model.device)
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=self.max_tokens, do_sample=False)
        said = tokens[:, inputs["input_ids"].shape[1] :]
        texts = processor.batch_decode(said, skip_special_tokens=True)
        ends = set(_end_tokens(model, processor))
        return [
            Answer(q.number, text, None if ends & set(row.tolist()) or len(row) < self.max_tokens else self._cut)
            for q, text, row in zip(questions, texts, said, strict=True)
        ]

    @property
    def _cut(self) -> str:
        return f"the answer was cut off at the length limit of {self.max_tokens} tokens"


def _end_tokens(model: Any, processor: Any) -> list[int]:
    """The tokens with which an answer ends."""
    ends = model.generation_config.eos_token_id
    return [*(ends if isinstance(ends, list) else [ends]), processor.tokenizer.eos_token_id]


def _conversation(question: Question) -> list[dict[str, object]]:
    content: list[dict[str, object]] = [{"type": "text", "text": question.text}]
    if question.picture is not None:
        content.insert(0, {"type": "image", "image": Image.fromarray(decode_jpeg(question.picture))})
    return [{"role": "user", "content": content}]
