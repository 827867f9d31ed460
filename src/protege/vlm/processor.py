"""Qwen3-VL's processor without its video part; a module of its own, so that worker processes can unpickle it."""

from typing import Any

from transformers import Qwen3VLProcessor


class FrameProcessor(Qwen3VLProcessor):
    """For machines whose torchvision does not work, the only library that the video part needs."""

    # transformers reads a processor's parts off this signature, so leaving one out is enough
    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template=chat_template, **kwargs)


FrameProcessor.__name__ = "Qwen3VLProcessor"  # the name that save_pretrained writes
