"""What unsloth and a CUDA build of torchvision ask of a GPU, for processes of the tests that have none.

Stubbed: the name and memory of the card, and two operators that torchvision registers when its CUDA library loads.
"""

import os
import types

if "UNSLOTH_ALLOW_CPU" in os.environ:
    import torch

    _operators = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    if not torch.cuda.is_available():
        torch.cuda.get_device_properties = lambda *_: types.SimpleNamespace(
            name="none (stub)", total_memory=8 << 30, major=8, minor=0
        )
