"""Inference of one window on one thread, with ONNX Runtime or with PyTorch.

More threads only hurt: beside one busy process, two of them took 536 ms for what one does in 16.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.controls import tables
from protege.controls.files import ModelFiles, load_model
from protege.controls.metrics import Predictions
from protege.controls.postprocess import of_logits
from protege.core.text import one_line
from protege.errors import MissingExtra, UserError

BACKENDS: Final = ("auto", "onnx", "torch")

_SHAPES: Final = [
    (1, tables.WINDOW, tables.INPUT),
    (1, tables.WINDOW),
    *((1, len(tables.HEADS[head])) for head in tables.HEAD_NAMES),
]
"""Of an export's inputs and outputs."""

Runner = Callable[[NDArray[np.float32], NDArray[np.bool_]], Predictions]
"""(1, 30, 671) standardised inputs and a (1, 30) mask to what the heads say."""


def open_runner(files: ModelFiles, backend: str = "auto") -> Runner:
    """The fastest there is: the ONNX file beside the weights if it is not older than they are, else PyTorch.

    UserError for a backend that does not exist, or "onnx" without its file.
    """
    if backend not in BACKENDS:
        raise UserError(f"backend {backend!r}: expected one of {', '.join(BACKENDS)}")
    # An older one is of weights that have been trained on since.
    exported = files.onnx.is_file() and files.onnx.stat().st_mtime >= files.weights.stat().st_mtime
    if backend == "onnx" and not exported:
        raise UserError(f"{files.onnx}: no export of the weights beside it; train again, or use the backend torch")
    return onnx_runner(files.onnx) if exported and backend != "torch" else torch_runner(files.weights)


def onnx_runner(path: Path) -> Runner:
    """A runner of ONNX Runtime. MissingExtra without it, UserError if the file is no export."""
    session = open_session(path)
    found = [(item.name, tuple(item.shape)) for item in (*session.get_inputs(), *session.get_outputs())]
    if [shape for _, shape in found] != _SHAPES:
        raise UserError(f"{path}: not a control transformer's ONNX file; train again, or use the backend torch")
    inputs, mask = found[0][0], found[1][0]

    def run(rows: NDArray[np.float32], there: NDArray[np.bool_]) -> Predictions:
        return of_logits(*(out[0] for out in session.run(None, {inputs: rows, mask: there})))

    return run


def open_session(path: Path) -> Any:
    """An ONNX Runtime session on one thread."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("onnxruntime", "controls") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # else it writes names that stand in the file to the terminal itself
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each of its many kinds is a class of its own, and none says which files raise it
        reason = one_line((str(error).splitlines() or [repr(error)])[0], 200)
        raise UserError(f"{path}: not an ONNX model ({reason}); train again, or use the backend torch") from None


def torch_runner(path: Path) -> Runner:
    """A runner of PyTorch, which then uses one thread in this process."""
    model, _ = load_model(path)
    import torch

    torch.set_num_threads(1)

    def run(rows: NDArray[np.float32], there: NDArray[np.bool_]) -> Predictions:
        with torch.inference_mode():
            outputs = model(torch.from_numpy(rows), torch.from_numpy(there))
        return of_logits(*(out[0].numpy() for out in outputs))

    return run
