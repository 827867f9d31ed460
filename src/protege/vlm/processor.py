"""Qwen3-VL's processor without its video part; at module level, so that worker processes can unpickle it."""

from transformers import Qwen3VLProcessor


class FrameProcessor(Qwen3VLProcessor):
    """For machines without a working torchvision, which only the video part needs."""

    # transformers takes a processor's parts from this signature, so that leaving one out is enough.
    def __init__(
        self,
        image_processor: object = None,
        tokenizer: object = None,
        chat_template: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template=chat_template, **kwargs)


FrameProcessor.__name__ = "Qwen3VLProcessor"  # the name that save_pretrained writes
