"""python -m tests.fuzz --cases 800 --json: break inputs of every format, run every command on them, count what fails.

Three processes share the cases, one for each set of libraries; each forks once a case. `--case N` runs one of them
again, says what it does and keeps its folder.
"""

import argparse
import gc
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests import forked
from tests.fuzz.case import MEMORY, SECONDS, Case, Failure
from tests.fuzz.targets import GROUPS, ORDER

FIGURES: Final = {
    **{"internal_errors": "internal", "over_500_mb": "memory", "over_10_s": "time", "written_outside": "outside"},
    **{
        "terminal_steered": "terminal",
        "secrets_printed": "secret",
        "not_repaired": "unmended",
        "without_a_word": "wordless",
    },
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=800)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this one alone, and keep its folder")
    parser.add_argument("--only", help="only targets with this in their name, e.g. session.json")
    parser.add_argument("--jobs", type=int, default=1, help="forks at once in each of the three processes")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--keep", type=Path, help="where folders of failures are kept (default: a new one)")
    options = parser.parse_args(argv)
    keep = options.keep or Path(tempfile.mkdtemp(prefix="protege-fuzz-", dir=_quick_place()))
    keep.mkdir(parents=True, exist_ok=True)
    numbers = range(options.first, options.first + options.cases) if options.case is None else [options.case]
    numbers = [n for n in numbers if options.only is None or options.only in ORDER[n % len(ORDER)].name]
    began = time.monotonic()
    found = _all_groups(numbers, options.seed, keep, options.jobs, options.case is not None)
    report = _report(numbers, options.seed, found, time.monotonic() - began)
    if options.json:
        print(json.dumps(report))
    else:
        print(_table(report))
    if options.keep is None and not found and options.case is None:
        shutil.rmtree(keep, ignore_errors=True)
    return 1 if found else 0


def _quick_place() -> str | None:
    """A file system in memory where there is a large one: a case makes and removes a hundred files and folders."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30 else None


def _all_groups(numbers: Iterable[int], seed: int, keep: Path, jobs: int, alone: bool) -> list[dict[str, Any]]:
    """Failures of all cases; a fork for each group, which imports what its commands need."""
    running = {}
    for group in GROUPS:
        mine = [n for n in numbers if ORDER[n % len(ORDER)].group == group]
        if mine:
            work = _Group(group, mine, seed, keep, jobs, alone)
            running[group] = forked.Fork(work.run, keep, keep / f"{group}.output")
    found: list[dict[str, Any]] = []
    for group, fork in running.items():
        ended = fork.poll(wait=True)
        said = (keep / f"{group}.output").read_text(errors="replace")
        if alone:
            print(said)
        if ended is None or ended.code != 0:
            raise SystemExit(f"the fuzzer itself failed in group {group}:\n{said[-3000:]}")
        found += json.loads((keep / f"{group}.json").read_text())
    return sorted(found, key=lambda failure: failure["case"])


class _Group:
    """The cases of one group, in a process that has imported what they need."""

    def __init__(self, name: str, numbers: list[int], seed: int, keep: Path, jobs: int, alone: bool) -> None:
        self.name, self.numbers, self.seed, self.keep, self.jobs, self.alone = name, numbers, seed, keep, jobs, alone

    def run(self) -> int:
        from tests.fuzz import inputs

        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(self.keep / "compiled")
        forked.warm_up(self.name)
        root = self.keep / f"inputs-{self.name}"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        inputs.make(root, self.name)
        gc.freeze()
        before = _digest(root)
        found = self._cases(root)
        if _digest(root) != before:
            print("a case has changed the inputs of all others, which it had as links")
            return 1
        (self.keep / f"{self.name}.json").write_text(json.dumps([asdict(failure) for failure in found]))
        shutil.rmtree(root)
        return 0

    def _cases(self, root: Path) -> list[Failure]:
        found: list[Failure] = []
        waiting = iter(self.numbers)
        running: dict[Case, forked.Fork] = {}
        while True:
            while len(running) < self.jobs and (number := next(waiting, None)) is not None:
                try:
                    case = Case(number, self.seed, root, self.keep)
                except Exception:
                    traceback.print_exc()
                    raise SystemExit(f"case {number} could not be made") from None
                if self.alone:
                    print(case.folder, *case.command.lines, *case.broken, sep="\n")
                running[case] = case.start()
            if not running:
                return found
            time.sleep(0.004)
            for case, fork in list(running.items()):
                if (ended := fork.poll()) is None:
                    if fork.too_long(SECONDS) or fork.grown() > 3 * MEMORY:
                        fork.kill()
                    continue
                del running[case]
                failures = case.judge(ended)
                found += failures
                self._after(case, ended, failures)

    def _after(self, case: Case, ended: forked.Ended, failures: list[Failure]) -> None:
        if self.alone:
            print(case.output.read_text(errors="replace"), ended, *failures, sep="\n")
        elif not failures:
            case.remove()
        line = f"{ended.worked:.3f} {ended.seconds:.3f} {ended.grown >> 20} {ended.code} {case.number} "
        with (self.keep / f"{self.name}.times").open("a") as log:
            log.write(f"{line}{case.target.name}: {case.command.name}\n")


def _digest(root: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file())


def _report(numbers: Sequence[int], seed: int, found: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    kinds = Counter(kind for kind, _ in {(failure["kind"], failure["case"]) for failure in found})
    return {
        "cases": len(numbers),
        **{name: kinds[kind] for name, kind in FIGURES.items()},
        "seed": seed,
        "seconds": round(seconds, 1),
        "targets": dict(Counter(ORDER[n % len(ORDER)].name for n in numbers)),
        "failures": found,
    }


def _table(report: dict[str, Any]) -> str:
    lines = [f"{name:<18}{report[name]}" for name in ("cases", *FIGURES, "seed", "seconds")]
    sorts: dict[Any, list[Failure]] = {}
    for fields in report["failures"]:
        failure = Failure(**fields)
        sorts.setdefault(failure.sort, []).append(failure)
    for same in sorted(sorts.values(), key=lambda same: (same[0].sort[0], -len(same))):
        first = same[0]
        cases = ", ".join(str(failure.case) for failure in same[:6])
        lines += ["", f"{first.kind}: {first.detail}    ({len(same)}: cases {cases})"]
        lines += [f"  {first.line}", f"  {first.target}: {first.broken}", f"  {first.folder}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
