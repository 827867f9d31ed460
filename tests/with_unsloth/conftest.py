"""Runs in an environment of its own that has unsloth (`make test-unsloth`), and nowhere else."""

import importlib.util
import sys

collect_ignore_glob = []
if importlib.util.find_spec("unsloth") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import unsloth  # noqa: F401  # pyright: ignore[reportMissingImports]  # before transformers, TRL and peft


def pytest_report_header():
    replaced = getattr(sys.modules.get("sitecustomize"), "STUBBED", [])
    return [f"stubbed: {what}" for what in replaced]
