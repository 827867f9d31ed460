"""python -m tests.kills --json: kill commands at random moments, run the same command again, and count the damage.

lost: an input has changed, or what an unharmed run leaves is not there. doubled: something stands there twice. stuck:
the same command fails without saying what to do, does not end, or leaves hidden files or locks behind.
"""

import argparse
import gc
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests import forked
from tests.fuzz.targets import GROUPS
from tests.kills.jobs import JOBS, QUICK, Contents, Job, copy_inputs, make_inputs

LIMIT_S: Final = 300.0
DAMAGE: Final = ("lost", "doubled", "stuck")
HIDDEN_MAY_STAY: Final = (".trash", ".episodes.zarr.cache")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", action="append", choices=[job.name for job in JOBS], help="only this; repeatable")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--keep", type=Path, help="where folders that show damage are kept")
    options = parser.parse_args(argv)
    keep = options.keep or Path(tempfile.mkdtemp(prefix="protege-kills-"))
    keep.mkdir(parents=True, exist_ok=True)
    wanted = options.job or (QUICK if options.quick else [job.name for job in JOBS])
    began = time.monotonic()
    rows = _all_groups([job for job in JOBS if job.name in wanted], options.kills, options.seed, keep)
    report = {
        "kills": sum(row["kills"] for row in rows),
        **{kind: sum(row[kind] for row in rows) for kind in DAMAGE},
        "seed": options.seed,
        "seconds": round(time.monotonic() - began, 1),
        "jobs": rows,
    }
    damaged = any(report[kind] for kind in DAMAGE)
    print(json.dumps(report) if options.json else _table(report))
    if options.keep is None and not damaged:
        shutil.rmtree(keep, ignore_errors=True)
    return 1 if damaged else 0


def _all_groups(jobs: list[Job], kills: int, seed: int, keep: Path) -> list[dict[str, Any]]:
    running = {}
    for group in GROUPS:
        if mine := [job for job in jobs if job.group == group]:
            running[group] = forked.Fork(
                lambda g=group, m=mine: _group(g, m, kills, seed, keep), keep, keep / f"{group}.output"
            )
    rows: list[dict[str, Any]] = []
    for group, fork in running.items():
        ended = fork.poll(wait=True)
        if ended is None or ended.code != 0:
            raise SystemExit(f"the benchmark failed in {group}:\n{(keep / f'{group}.output').read_text()[-3000:]}")
        rows += json.loads((keep / f"{group}.json").read_text())
    return rows


def _group(group: str, jobs: list[Job], kills: int, seed: int, keep: Path) -> int:
    """In a fork that imports what these commands need."""
    from tests.fuzz import inputs

    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(keep / "compiled")
    forked.warm_up(group)
    root = keep / f"inputs-{group}"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    make_inputs(root)
    inputs.make(root, group)
    gc.freeze()
    rows = [_Killing(job, seed, root, keep).run(kills) for job in jobs]
    (keep / f"{group}.json").write_text(json.dumps(rows))
    shutil.rmtree(root)
    return 0


class _Killing:
    """One command, killed again and again."""

    def __init__(self, job: Job, seed: int, inputs: Path, keep: Path) -> None:
        self.job, self.inputs = job, inputs
        self.root = keep / job.name.replace(" ", "_")
        self.rng = random.Random(f"{seed} {job.name}")
        self.found: list[dict[str, Any]] = []

    def run(self, kills: int) -> dict[str, Any]:
        whole = self._folder("unharmed")
        fork = self._start(whole)
        ended = self._end(fork)
        if ended.code != 0:
            raise SystemExit(f"{self.job.line}: exit code {ended.code}\n{self._said(whole)}")
        expected = self.job.contents(whole / "work")
        took, done = ended.seconds, 0
        for number in range(4 * kills):
            if done == kills:
                break
            folder = self._folder(f"{number:03d}")
            hit, seconds = self._kill(folder, took)
            if not hit:  # it was quicker this time
                took = max(0.5 * took, min(took, seconds))
                shutil.rmtree(folder)
                continue
            done += 1
            if damage := self._damage(folder, expected):
                self.found += [{"kind": kind, "what": what, "folder": str(folder)} for kind, what in damage]
            else:
                shutil.rmtree(folder)
        counts = {kind: len({d["folder"] for d in self.found if d["kind"] == kind}) for kind in DAMAGE}
        return {
            "job": self.job.name,
            "kills": done,
            **counts,
            "seconds_unharmed": round(ended.seconds, 2),
            "found": self.found,
        }

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "work").mkdir(parents=True)
        (folder / "home").mkdir()
        copy_inputs(self.job, self.inputs, folder / "work")
        return folder

    def _start(self, folder: Path) -> forked.Fork:
        environment = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "home"), "DISPLAY": ""}
        return forked.Fork(
            lambda: forked.run_lines([list(self.job.line)], folder / "codes.json", environment),
            folder / "work",
            folder / "output",
        )

    def _end(self, fork: forked.Fork) -> forked.Ended:
        while (ended := fork.poll()) is None:
            if fork.seconds() > LIMIT_S:
                fork.kill()
            time.sleep(0.01)
        return ended

    def _kill(self, folder: Path, took: float) -> tuple[bool, float]:
        fork = self._start(folder)
        moment = self.rng.uniform(0.01, took)
        while fork.seconds() < moment:
            if (ended := fork.poll()) is not None:
                return False, ended.seconds
            time.sleep(min(0.002, moment / 20))
        fork.kill()
        ended = self._end(fork)
        (folder / "moment.txt").write_text(f"killed after {moment:.4f} s of {took:.4f}\n")
        return ended.code == -9, ended.seconds

    def _damage(self, folder: Path, expected: Contents) -> list[tuple[str, str]]:
        """What is wrong after the kill, and after the same command once more (unless it had got to its end)."""
        work = folder / "work"
        found = [("lost", f"right after the kill: {path}") for path in self._changed(work)]
        if not self._same(work, expected):
            shutil.copytree(work, folder / "killed", symlinks=True)
            ended = self._end(self._start(folder))
            said = self._said(folder)
            if ended.stopped:
                return [*found, ("stuck", f"not done after {LIMIT_S:g} s")]
            if ended.code != 0:
                advised = ended.code == 2 and "Traceback" not in said and "internal error" not in said
                return found if advised else [*found, ("stuck", f"exit code {ended.code}: {said.strip()[-300:]}")]
            found += [("stuck", f"left behind: {path}") for path in self._hidden(work)]
        now = self.job.contents(work)
        found += [("lost", f"{name} is not as it should be") for name in expected if now.get(name) != expected[name]][
            :3
        ]
        found += [("doubled", f"{name} should not be there") for name in now if name not in expected][:3]
        found += [("doubled", what) for what in self.job.doubled(work)]
        return found + [("lost", path) for path in self._changed(work)]

    def _same(self, work: Path, expected: Contents) -> bool:
        try:
            return self.job.contents(work) == expected and not self._hidden(work)
        except (OSError, ValueError, TypeError):
            return False

    def _changed(self, work: Path) -> list[str]:
        """Inputs that are not as they were."""
        wrong = []
        for name in self.job.needs:
            for path in sorted((self.inputs / name).rglob("*")):
                copied = work / name / path.relative_to(self.inputs / name)
                if path.is_file() and (not copied.is_file() or copied.read_bytes() != path.read_bytes()):
                    wrong.append(f"input {copied.relative_to(work)} has changed")
        return wrong[:3]

    def _hidden(self, work: Path) -> list[str]:
        """Hidden files and folders, which only something unfinished has."""
        found = [
            path for path in work.rglob(".*") if path.name not in HIDDEN_MAY_STAY and not path.name.startswith(".z")
        ]
        given = {path.name for path in self.inputs.rglob(".*")}
        return sorted(str(path.relative_to(work)) for path in found if path.name not in given)[:3]

    def _said(self, folder: Path) -> str:
        return (folder / "output").read_text(errors="replace")[-2000:]


def _table(report: dict[str, Any]) -> str:
    lines = [f"{'command':<16}{'kills':>6}{'lost':>6}{'doubled':>9}{'stuck':>7}   unharmed"]
    for row in report["jobs"]:
        counts = f"{row['kills']:>6}{row['lost']:>6}{row['doubled']:>9}{row['stuck']:>7}"
        lines.append(f"{row['job']:<16}{counts}   {row['seconds_unharmed']} s")
        lines += [f"    {found['kind']}: {found['what']}   {found['folder']}" for found in row["found"]]
    lines.append(f"{'all':<16}{report['kills']:>6}{report['lost']:>6}{report['doubled']:>9}{report['stuck']:>7}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
