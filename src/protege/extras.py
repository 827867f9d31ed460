"""Which extra brings a library that is not installed: one answer for every import, wherever it stands."""

import importlib.util
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, requires
from pathlib import PurePath
from types import TracebackType
from typing import Final

from protege.errors import MissingExtra, UserError

NAMES: Final = {
    "absl": "jax",
    "cv2": "opencv-python-headless",
    "huggingface_hub": "transformers",
    "numcodecs": "zarr",
    "pyarrow": "datasets",
    "orbax": "orbax-checkpoint",
    "pydantic": "fastapi",
    "safetensors": "transformers",
    "sklearn": "scikit-learn",
    "Xlib": "python-xlib",
    "yaml": "omegaconf",
}
"""Distributions by what they bring, where that is called otherwise or comes along with them."""
PARTS: Final = {
    "arena": "arena",
    "BC_training": "cloning",
    "cloning": "cloning",
    "controls": "controls",
    "demo": "demo",
    "devices": "record",
    "recorder": "record",
    "studio": "studio",
}
"""Parts of the package that have an extra of their own; others take theirs from the first that has the library."""
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9._-]+).*?;.*\bextra\s*==\s*['\"]([^'\"]+)['\"]")


@cache
def extras() -> dict[str, tuple[str, ...]]:
    """For each distribution the extras that bring it, as the installed package says."""
    try:
        lines = requires("protege") or []
    except PackageNotFoundError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for match in filter(None, map(_REQUIREMENT.match, lines)):
        name = match[1].lower().replace("_", "-")
        found[name] = (*found.get(name, ()), match[2])
    return found


def extra_of(library: str, part: str = "") -> str | None:
    """The extra that brings a top-level module, preferring that of the part of our package that wants it."""
    wanting = PARTS.get(part, "")
    found = extras().get(NAMES.get(library, library).lower().replace("_", "-"), ())
    return wanting if wanting in found else next(iter(found), None)


def missing_extra(error: ModuleNotFoundError) -> UserError | None:
    """The error that names the extra; None where the module belongs to none, or is there but broken."""
    library = (error.name or "").partition(".")[0]
    if not library or importlib.util.find_spec(library) is not None:
        return None
    extra = extra_of(library, _wanting(error.__traceback__))
    if extra is None:
        return None
    name = NAMES.get(library, library)
    if extra == "dev":  # nobody but us needs all of that
        return UserError(f"{name} is not installed; install it with: pip install {name}")
    return MissingExtra(name, extra)


def _wanting(trace: TracebackType | None) -> str:
    """The part of our package whose file stands last in a traceback."""
    part = ""
    while trace is not None:
        above = PurePath(trace.tb_frame.f_code.co_filename).parts
        if "BC_training" in above:
            part = "BC_training"
        elif "protege" in above[:-1]:
            part = above[len(above) - above[::-1].index("protege")].removesuffix(".py")
        trace = trace.tb_next
    return part
