"""JSON as libraries write it, with NaN and infinity, which standard JSON does not have."""

import json
from pathlib import Path

from protege.core.files import Json, read_bytes


def read_loose(path: Path) -> Json:
    """A JSON file, NaN and infinity as None. Raises OSError, or ValueError in words if it is no JSON."""
    try:
        return json.loads(read_bytes(path), parse_constant=lambda name: None)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
