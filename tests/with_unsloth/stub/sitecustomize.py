"""What unsloth and a CUDA build of torchvision ask of a GPU, for processes of the tests that have none.

STUBBED says what was replaced, for the tests' first lines. torchvision's operators are stubbed only where its own
library, built for CUDA, cannot be loaded beside a CPU build of torch.
"""

import importlib.util
import os
import types
from pathlib import Path

STUBBED = []

if "UNSLOTH_ALLOW_CPU" in os.environ:
    import torch

    _found = importlib.util.find_spec("torchvision")
    try:
        torch.ops.load_library(str(Path(_found.origin).with_name("_C.so")) if _found and _found.origin else "")
    except OSError:
        _operators = torch.library.Library("torchvision", "DEF")
        for _name in ("nms", "qnms"):
            _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        STUBBED.append("torchvision's operators nms and qnms, since its CUDA build does not load beside this torch")
    if not torch.cuda.is_available():
        torch.cuda.get_device_properties = lambda *_: types.SimpleNamespace(
            name="none (stub)", total_memory=8 << 30, major=8, minor=0
        )
        STUBBED.append("the card's name and memory")
        STUBBED.append("in tests of 4 bits, whether bitsandbytes has kernels for the card (those for a CPU are run)")
