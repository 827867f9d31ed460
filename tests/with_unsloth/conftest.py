"""Runs in an environment of its own that has unsloth (`make test-unsloth`), and nowhere else."""

import importlib.util
import sys
from pathlib import Path

collect_ignore_glob = []
if importlib.util.find_spec("unsloth") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import unsloth  # noqa: F401  # pyright: ignore[reportMissingImports]  # before transformers, TRL and peft


def pytest_report_header():
    stubs = Path(__file__).parent / "stub"
    if any(Path(path) == stubs for path in sys.path):
        return (
            "stubbed for want of a GPU: the card's name and memory, torchvision's operators nms and qnms, and in the "
            "tests of 4 bits unsloth's question whether bitsandbytes has kernels for the card (those for a CPU are run)"
        )
    return None
