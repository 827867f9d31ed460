"""`transformers serve` with the arguments given, where torchvision, which only videos need, is not installed."""

import sys

import torch
import transformers
from transformers.cli.transformers import main

from protege.vlm.processor import FrameProcessor

torch.set_num_threads(1)


def load(cls: type, path: str, *_: object, **__: object) -> FrameProcessor:
    return FrameProcessor.from_pretrained(path)


setattr(transformers.AutoProcessor, "from_pretrained", classmethod(load))  # noqa: B010
sys.argv[0] = "transformers"
main()
