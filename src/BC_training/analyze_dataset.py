"""python -m BC_training.analyze_dataset --dataset PATH: what is in a zarr data set, and a configuration that fits."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from protege.cli import guarded, use_utf8
from protege.core.text import one_line


class Parser(argparse.ArgumentParser):
    """A mistake is one line, as in every command."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {one_line(message, 300)}; see: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the analysis; returns the exit code."""
    parser = Parser(
        prog="python -m BC_training.analyze_dataset",
        description=__doc__,
        epilog="example: python -m BC_training.analyze_dataset --dataset dataset/episodes.zarr",
    )
    parser.add_argument("--dataset", type=Path, required=True, metavar="PATH", help="the zarr data set")
    parser.add_argument("--seed", type=_seed, default=42, help="of the split that training will make")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args(arguments)
    return guarded(lambda: _analyze(options.dataset, options.seed, options.json))


def _seed(text: str) -> int:
    found = int(text)
    if not 0 <= found < 2**32:
        raise argparse.ArgumentTypeError("expected a whole number from 0 to 4294967295")
    return found


def _analyze(dataset: Path, seed: int, as_json: bool) -> int:
    from protege.cloning.analyze import analyze, table

    found = analyze(dataset, seed=seed)
    print(json.dumps(found.to_json()) if as_json else table(found), flush=True)
    return 0


if __name__ == "__main__":
    use_utf8()
    sys.exit(main())
