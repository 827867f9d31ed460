"""One case: a copy of a sound input in which something is broken, a command, and what is wrong with how it ended."""

import http.server
import json
import os
import random
import re
import resource
import shutil
import stat
import threading
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from tests.forked import Ended, Fork, run_lines
from tests.fuzz import options
from tests.fuzz.mutate import instead_of_folder, mutate
from tests.fuzz.targets import ORDER, Command, Target

MEMORY: Final = 500 << 20
SECONDS: Final = 10.0
MARK: Final = "precious-7f3a"
"""Stands in files that no command has any business with."""
SECRET: Final = "sk-test-0123456789secret"
STEERING: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
LIMITS: Final = ((resource.RLIMIT_FSIZE, 256 << 20), (resource.RLIMIT_CORE, 0))
SERVER: Final = ("--backend", "openai", "--retries", "0", "--timeout", "5", "--concurrency", "1")
ANSWER: Final = {
    "id": "x",
    "object": "chat.completion",
    "created": 0,
    "model": "tiny",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Go to the lantern"}},
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


@dataclass(frozen=True)
class Failure:
    """kind: internal, memory, time, outside, terminal, secret, unmended or wordless."""

    case: int
    kind: str
    target: str
    command: str
    detail: str
    line: str
    broken: str
    folder: str

    @property
    def sort(self) -> tuple[str, str, str]:
        """Failures of one cause have this in common, as far as can be told from outside."""
        return self.kind, self.command, re.sub(r"[0-9]+|'[^']*'|\"[^\"]*\"|/\S+", "…", self.detail)[:100]


class Case:
    """Folder of a case: `work` (the command's), `precious` (nobody's), `home` and `tmp`."""

    def __init__(self, number: int, seed: int, inputs: Path, root: Path) -> None:
        self.number, self.folder = number, root / f"case-{number:06d}"
        self.rng = random.Random(f"{seed} {number}")
        self.target: Target = ORDER[number % len(ORDER)]
        self.work = self.folder / "work"
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("work", "home", "tmp", "precious/frames"):
            (self.folder / name).mkdir(parents=True)
        for name in ("precious/keep.txt", "precious/frames/000000.jpg", "precious/segment.json"):
            (self.folder / name).write_text(f"{MARK}\n")
        for name in self.target.needs:
            _copy(inputs / name, self.work / name)
        self.broken: list[str] = []
        self.command = self._options() if not self.target.commands else self._break()
        self.before = self._seen()
        self.output, self.codes = self.folder / "output", self.folder / "codes.json"

    def _options(self) -> Command:
        (self.work / "file").write_text("some text\n")
        (self.work / "folder").mkdir()
        (self.work / "folder" / "note.txt").write_text("a note\n")
        os.mkfifo(self.work / "fifo")
        (self.work / "zero").symlink_to("/dev/zero")
        (self.work / "loop").symlink_to("loop")
        (self.work / "clone.yaml").write_text("{}\n")
        return Command((tuple(options.line(self.target.name, self.rng)),), ("*",))

    def _break(self) -> Command:
        chosen = [c for c in self.target.commands if self.rng.randrange(c.every) == 0] or [self.target.commands[0]]
        if "answers" in self.target.files:
            (self.work / "answers.json").write_text(json.dumps(ANSWER))
            self.broken.append(mutate(self.work / "answers.json", self.rng))
        elif self.target.folders and self.rng.random() < 0.06:
            found = [path for pattern in self.target.folders for path in sorted(self.work.glob(pattern))]
            self.broken.append(instead_of_folder(self.rng.choice(found), self.rng))
        else:
            self._mutate()
        return self.rng.choice(chosen)

    def _mutate(self) -> None:
        pattern = self.rng.choice(self.target.files)
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            found = [p for p in sorted(self.work.glob(pattern)) if p.is_file() and not p.is_symlink()]
            found = found or [p for f in self.target.files for p in sorted(self.work.glob(f)) if p.is_file()]
            if found:
                self.broken.append(mutate(self.rng.choice(found), self.rng))

    def start(self, debug: bool = False) -> Fork:
        lines = [
            ["--debug", *line] if debug and line[0] != "BC_training.analyze_dataset" else list(line)
            for line in self.command.lines
        ]
        environment = {
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_CACHE_HOME": str(self.folder / "home"),
            "OPENAI_API_KEY": SECRET,
            "DISPLAY": "",
            "WAYLAND_DISPLAY": "",
        }
        served = "{server}" in lines[0]

        def work() -> int:
            if served:
                lines[0] = [word for word in lines[0] if word != "{server}"] + [*SERVER, "--url", serve(self.work)]
            return run_lines(lines, self.codes, environment)

        return Fork(work, self.work, self.output, LIMITS)

    def judge(self, ended: Ended) -> list[Failure]:
        said = self.output.read_bytes()[: 4 << 20].decode("utf-8", "replace") if self.output.exists() else ""
        found = [
            *([] if not ended.stopped or ended.grown > MEMORY else [("time", f"not done after {SECONDS:g} s")]),
            *([] if ended.grown <= MEMORY else [("memory", f"{ended.grown >> 20} MB more")]),
            *([] if ended.stopped else _internal(ended.code, said)),
            *[("outside", f"{what} {path}") for what, path in self._changed(ended.stopped)],
            *([("terminal", repr(bad[0]))] if (bad := STEERING.findall(said)) else []),
            *([("secret", "the key was printed")] if SECRET in said else []),
            *self._codes(),
        ]
        line = " && ".join(" ".join(part) for part in self.command.lines)
        return [
            Failure(
                self.number,
                kind,
                self.target.name,
                self.command.name,
                what,
                line,
                "; ".join(self.broken),
                str(self.folder),
            )
            for kind, what in found
        ]

    def _codes(self) -> list[tuple[str, str]]:
        codes = json.loads(self.codes.read_text()) if self.codes.exists() else []
        if self.command.mended and codes[:1] == [0] and codes[1:] not in ([], [0]):
            return [("unmended", "what was repaired is not sound")]
        return []

    def _seen(self) -> dict[str, tuple[Any, ...]]:
        """Everything in the folder but what is the command's own: kind, inode, size, time of change."""
        seen: dict[str, tuple[Any, ...]] = {}
        for top in ("work", "precious"):
            _look(f"{self.folder}/{top}", top, seen)
        return seen

    def _changed(self, killed: bool) -> list[tuple[str, str]]:
        """What the command had no business with, and what it took along from elsewhere; of one that we killed not what
        it had staged."""
        after = self._seen()
        found = []
        for path in sorted(self.before.keys() | after.keys()):
            if self.before.get(path) == after.get(path):
                continue
            inside = path.removeprefix("work/")
            if path.startswith("work/") and any(fnmatch(inside, pattern) for pattern in self.command.may):
                continue
            if killed and "/." in path:
                continue
            what = "made" if path not in self.before else "removed" if path not in after else "changed"
            found.append((what, path))
        leaked = [path for path in after.keys() - self.before.keys() if self._holds_mark(path)]
        return [*found[:3], *[("copied what is nobody's business into", path) for path in leaked[:1]]]

    def _holds_mark(self, path: str) -> bool:
        full = self.folder / path
        return full.is_file() and not full.is_symlink() and MARK.encode() in full.read_bytes()[: 1 << 20]

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _internal(code: int, said: str) -> list[tuple[str, str]]:
    for pattern in (
        r"internal error: (.*?)(?:; run again|$)",
        r"Traceback \(most recent call last\)",
    ):
        if match := re.search(pattern, said, re.M):
            last = [line for line in said.splitlines() if line.strip()][-1]
            return [("internal", (match[1] if match.groups() else last)[:200])]
    if code not in (0, 1, 2, 130):
        return [("internal", f"exit code {code}")]
    return [] if code == 0 or said.strip() else [("wordless", f"exit code {code} and not a word")]


def _look(folder: str, name: str, seen: dict[str, tuple[Any, ...]]) -> None:
    for entry in os.scandir(folder):
        info = entry.stat(follow_symlinks=False)
        kind, below = stat.S_IFMT(info.st_mode), f"{name}/{entry.name}"
        if kind == stat.S_IFDIR:
            seen[below] = (kind,)
            _look(entry.path, below, seen)
        else:
            links = info.st_nlink if name.startswith("precious") else 0
            seen[below] = (kind, info.st_ino, info.st_size, info.st_mtime_ns, links)


LINKED: Final = (".jpg", ".png", ".mkv", ".mp4", ".safetensors", "")
"""Files that nothing writes in place; the run ends with a look at whether that is so."""


def _copy(source: Path, target: Path) -> None:
    if not source.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return
    target.mkdir(parents=True)
    for entry in os.scandir(source):
        path = target / entry.name
        if entry.is_dir():
            _copy(Path(entry.path), path)
        elif path.suffix in LINKED and not entry.name.startswith("."):
            os.link(entry.path, path)
        else:
            shutil.copyfile(entry.path, path)


def serve(work: Path) -> str:
    """A server in this process whose answers are what the case's file says; returns its address."""
    path = work / "answers.json"
    answer = path.read_bytes() if path.is_file() and not path.is_symlink() else b""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(json.dumps({"object": "list", "data": [{"id": "tiny", "object": "model"}]}).encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._send(answer)

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/v1"
