"""Qwen3-VL's processor without its video part; a module of its own, so that worker processes can unpickle it."""

from transformers import Qwen3VLProcessor


class FrameProcessor(Qwen3VLProcessor):
    """For machines whose torchvision does not work, the only library that the video part needs."""

    # transformers reads a processor's parts off this signature, so leaving one out is enough
    def __init__(
        self,
        image_processor: object = None,
        tokenizer: object = None,
        chat_template: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template=chat_template, **kwargs)


FrameProcessor.__name__ = "Qwen3VLProcessor"  # the name that save_pretrained writes
