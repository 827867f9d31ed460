"""The model as an ONNX file, which ONNX Runtime runs about twice as fast as PyTorch; checked before it is kept."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from protege.controls import tables
from protege.controls.model import ControlTransformer
from protege.controls.runtime import open_session
from protege.core.files import replacing, writing
from protege.errors import MissingExtra, ProtegeError

INPUTS: Final = ("inputs", "mask")
TOLERANCE: Final = 1e-5
CHECKED: Final = (1, 3, 17, tables.WINDOW)
"""Frames in the windows that the check is made with."""


class Exported(nn.Module):
    """The model with one window of raw outputs: logits, axes and positions as `model.Outputs`, in its order."""

    def __init__(self, model: ControlTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model(inputs, mask))


def export(model: ControlTransformer, path: Path) -> float:
    """Write the model for one window, (1, 30, 671) float32 and (1, 30) bool to (1, 12), (1, 2), (1, 9), (1, 2), (1, 3).

    Returns the largest difference from PyTorch over windows of several lengths. ProtegeError, and no file, if it is
    above 1e-5; MissingExtra without onnx, onnxscript or onnxruntime.
    """
    require_onnx()
    model = model.cpu().eval()  # the export is compared with PyTorch on the CPU, where it will run
    inputs = torch.zeros(1, tables.WINDOW, tables.INPUT), torch.ones(1, tables.WINDOW, dtype=torch.bool)
    with _quietly():
        program = torch.onnx.export(
            Exported(model),
            inputs,
            dynamo=True,
            input_names=list(INPUTS),
            output_names=list(tables.HEAD_NAMES),
            verbose=False,
        )
    assert program is not None

    with writing(path.parent), replacing(path) as part:
        # In one file: weights beside it would have the temporary name.
        program.save(part, external_data=False)
        if not (largest := difference(model, part)) <= TOLERANCE:
            raise ProtegeError(f"the ONNX file differs from PyTorch by {largest:.1e}, over {TOLERANCE:g}; not kept")
    return largest


def difference(model: ControlTransformer, path: Path) -> float:
    """The largest difference of any output over random windows of several lengths."""
    session = open_session(path)
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for frames in CHECKED:
        inputs = torch.randn(1, tables.WINDOW, tables.INPUT, generator=generator)
        mask = (torch.arange(tables.WINDOW) < frames).unsqueeze(0)
        with torch.inference_mode():
            expected = model(inputs, mask)
        found = session.run(None, dict(zip(INPUTS, (inputs.numpy(), mask.numpy()), strict=True)))
        largest = max(largest, *(float(np.abs(a.numpy() - b).max()) for a, b in zip(expected, found, strict=True)))
    return largest


def require_onnx() -> None:
    """MissingExtra unless all three libraries are there."""
    import importlib.util

    for name in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtra(name, "controls")


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch and onnxscript tell each other while exporting; MHA's fused path has no ONNX form."""
    fused = torch.backends.mha.get_fastpath_enabled()
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
