"""python -m BC_training.analyze_dataset --dataset PATH: what is in a zarr data set, and a configuration that fits."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from protege.cli import guarded


class Parser(argparse.ArgumentParser):
    """A mistake is one line, as in every command."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the analysis; returns the exit code."""
    parser = Parser(
        prog="python -m BC_training.analyze_dataset",
        description=__doc__,
        epilog="example: python -m BC_training.analyze_dataset --dataset dataset/episodes.zarr",
    )
    parser.add_argument("--dataset", type=Path, required=True, metavar="PATH", help="the zarr data set")
    parser.add_argument("--seed", type=int, default=42, help="of the split that training will make")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args(arguments)
    return guarded(lambda: _analyze(options.dataset, options.seed, options.json))


def _analyze(dataset: Path, seed: int, as_json: bool) -> int:
    from protege.cloning.analyze import analyze, table

    found = analyze(dataset, seed=seed)
    print(json.dumps(found.to_json()) if as_json else table(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
