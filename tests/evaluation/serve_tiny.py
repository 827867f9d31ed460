"""`transformers serve` with the arguments given, where torchvision, which only videos need, is not installed."""

import sys

import torch
import transformers
from transformers.cli.transformers import main

from protege.vlm.processor import FrameProcessor

torch.set_num_threads(1)
transformers.AutoProcessor.from_pretrained = classmethod(
    lambda cls, path, *_, **__: FrameProcessor.from_pretrained(path)
)
sys.argv[0] = "transformers"
main()
