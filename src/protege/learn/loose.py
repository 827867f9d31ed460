"""JSON as libraries write it, who take NaN and infinity for numbers."""

import json
from pathlib import Path
from typing import Any

from protege.core.files import read_bytes


def read_loose(path: Path) -> Any:
    """A JSON file, NaN and infinity as None. Raises OSError, or ValueError in words if it is no JSON."""
    try:
        return json.loads(read_bytes(path), parse_constant=lambda name: None)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
