"""Would captured graphs or torch.compile make the agent's reader quicker on a GPU? Measured here; nothing uses either.

The work of a chunk whose draft is right: one look at the picture, and one pass over prompt and draft. Its shapes are
the same for every frame of a goal. Nothing here has run on a GPU, and on a CPU nothing is captured.
"""

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor

    from protege.agent.reader import Reader

Found = dict[str, float | int | str]
Pass = Callable[[], "Tensor"]
Capture = Callable[[Pass], Pass]
TIMES, WARM_UP = 20, 3
ON_HOST: Final = ("image_grid_thw", "mm_token_type_ids")
"""What the reader asks for numbers; a GPU must not be waited for while its work is captured."""


def ways(
    make: Callable[[], tuple["Reader", dict[str, "Tensor"], "Tensor"]],
    compile_: Callable[[Any], Any],
    capture: Capture | None,
    synchronise: Callable[[], object],
    times: int = TIMES,
) -> Found:
    """Milliseconds of a pass as it is, with compiled layers, and captured; and how far the others' answers are off.

    make: a new reader, a question and the tokens of a draft, (1, L)
    compile_: as torch.compile
    capture: returns what repeats a pass; None where there is nothing to capture

    A way that fails says why under its own name.
    """
    import torch

    found: Found = {}
    kept: list[torch.Tensor] = []
    for name in ("as_is", "compiled", "captured"):
        if name == "captured" and capture is None:
            continue
        reader, inputs, draft = make()
        if name == "compiled":
            reader._layer = compile_(reader._layer)
        try:
            with torch.inference_mode():
                once = _pass(reader, inputs, draft)
                for _ in range(WARM_UP):
                    once()
                if name == "captured" and capture is not None:
                    inputs.update({key: inputs[key].cpu() for key in ON_HOST})
                    once = capture(once)
                found[f"ms_{name}"], hidden = _timed(once, synchronise, times)
        except Exception as error:  # compilers raise anything
            said = " ".join(str(error).split())[:120]
            found[f"failed_{name}"] = f"{type(error).__name__}: {said}"
            continue
        kept.append(hidden)
        if len(kept) > 1:
            scale = float(kept[0].abs().max())
            found[f"off_{name}"] = round(float((hidden - kept[0]).abs().max()) / scale, 5)
    return found


def _pass(reader: "Reader", inputs: dict[str, "Tensor"], draft: "Tensor") -> Pass:
    def once() -> "Tensor":
        reader.look(inputs)
        return reader.read_ids(draft, draft.shape[1])

    return once


def captured(once: Pass) -> Pass:
    """A pass as a CUDA graph."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        once()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        hidden = once()

    def again() -> "Tensor":
        graph.replay()
        return hidden

    return again


def _timed(once: Pass, synchronise: Callable[[], object], times: int) -> "tuple[float, Tensor]":
    """The median in milliseconds, and what the last pass gave, (rows, hidden)."""
    ms, hidden = [], None
    for _ in range(times):
        synchronise()
        began = time.perf_counter()
        hidden = once()
        synchronise()
        ms.append((time.perf_counter() - began) * 1e3)
    assert hidden is not None
    return round(statistics.median(ms), 3), hidden.float().clone()
