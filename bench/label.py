"""python -m bench label: what does labeling an hour of play cost in time, memory and disk?"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from protege.errors import ProtegeError, UserError
from protege.evaluation.figures import Figure

HOUR_FRAMES: Final = 36_000
EPISODES: Final = 12
SIZE: Final = (640, 480)
MAX_SECONDS, MAX_MB, MAX_GROWTH, MAX_MEMORY_GROWTH, MIN_SPEEDUP = 60.0, 400.0, 2.2, 1.1, 5.0
CONCURRENCY: Final = (1, 8, 32)
ANSWER_S: Final = 0.05
"""How long the loopback server takes to answer, so that waiting together pays as it does with a real model."""
ORIGIN: Final = Path(__file__).with_name("label_origin.py")

_LABEL: Final = """
import json, sys, time
from pathlib import Path
started = time.perf_counter()
from protege.labeling import Given, label
from protege.labeling.report import write_report
result = label([Path(sys.argv[1])], Path(sys.argv[2]), Given())
write_report(Path(sys.argv[2]))
seconds = time.perf_counter() - started
assert result.exit_code == 0, result.lines()
"""
_ORIGIN: Final = """
import json, runpy, sys, time
started = time.perf_counter()
origin = runpy.run_path(sys.argv[3])
origin["main"](origin["Path"](sys.argv[1]), origin["Path"](sys.argv[2]))
seconds = time.perf_counter() - started
"""
_TELL: Final = """
status = Path("/proc/self/status") if "Path" in globals() else origin["Path"]("/proc/self/status")
peak = [int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")]
print(json.dumps({"seconds": seconds, "peak_mb": peak[0] / 1024}))
"""
"""VmHWM, since ru_maxrss of a child begins with the memory of the parent it was forked from."""


def run(
    hours: float = 1.0,
    origin_hours: float | None = None,
    requests: int = 400,
    say: Callable[[str], None] = lambda text: None,
    episodes: int = EPISODES,
) -> list[Figure]:
    """All figures. hours: of play to label; origin_hours: of them done in the origin's way too (all of them by default;
    its time and disk grow with the frames, so a part is scaled up); requests: to the loopback server; episodes:
    of the built-in game that are repeated.
    """
    if sys.platform != "linux":
        raise UserError("python -m bench label reads the peak memory from /proc, so it runs on Linux")
    origin_hours = min(origin_hours or hours, hours)
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        folder = Path(name)
        say(f"making {2 * hours:g} hours of play from {episodes} episodes of the built-in game")
        pattern = make_pattern(folder / "arena", episodes)
        frames = round(hours * HOUR_FRAMES)
        hour = repeat(pattern, folder / "raw" / "hour", frames)
        double = repeat(pattern, folder / "raw" / "double", 2 * frames)
        say("labeling and reporting: once, then twice as much")
        one = _timed(_LABEL, hour, folder / "one")
        two = _timed(_LABEL, double, folder / "two")
        disk = disk_mb(folder / "one", folder / "raw")
        say(f"the origin's way: {origin_hours:g} hours")
        part = (
            hour
            if origin_hours == hours
            else repeat(pattern, folder / "raw" / "part", round(origin_hours * HOUR_FRAMES))
        )
        origin = _timed(_ORIGIN, part, folder / "origin", str(ORIGIN))
        scale = hours / origin_hours
        disk_origin = scale * disk_mb(folder / "origin", folder / "raw")
        say(f"{requests} requests at concurrency {', '.join(map(str, CONCURRENCY))}")
        rates = {str(n): requests_per_s(n, requests) for n in CONCURRENCY}
    figures = _figures(hours, one, two, origin["seconds"] * scale, origin_hours)
    return [
        *figures,
        Figure("disk_mb", round(disk, 1), f"{disk:.0f} MB beside the recording, whose pictures are linked"),
        Figure("disk_mb_origin", round(disk_origin, 1), f"{disk_origin:,.0f} MB"),
        Figure(
            "requests_per_s",
            {n: round(rate, 1) for n, rate in rates.items()},
            ", ".join(f"{rate:.0f} at {n}" for n, rate in rates.items())
            + f" (the server takes {1000 * ANSWER_S:.0f} ms to answer)",
        ),
    ]


def _figures(
    hours: float, one: dict[str, float], two: dict[str, float], origin_s: float, origin_hours: float
) -> list[Figure]:
    """Time and memory with their targets."""
    seconds, peak = one["seconds"], one["peak_mb"]
    growth, memory, speedup = two["seconds"] / seconds, two["peak_mb"] / peak, origin_s / seconds
    limit = MAX_SECONDS * hours
    told = "" if origin_hours == hours else f", from {origin_hours:g} of {hours:g} hours"
    return [
        Figure(
            "hour_seconds", round(seconds, 2), f"{seconds:.1f} s for {hours:g} h", f"<= {limit:g} s", seconds <= limit
        ),
        Figure("peak_mb", round(peak, 1), f"{peak:.0f} MB", f"<= {MAX_MB:g} MB", peak <= MAX_MB),
        Figure(
            "growth_time", round(growth, 2), f"{growth:.2f} x for twice the frames", f"<= {MAX_GROWTH} x",
            growth <= MAX_GROWTH,
        ),
        Figure(
            "growth_memory", round(memory, 2), f"{memory:.2f} x for twice the frames", f"<= {MAX_MEMORY_GROWTH} x",
            memory <= MAX_MEMORY_GROWTH,
        ),
        Figure(
            "speedup_over_origin", round(speedup, 1), f"{speedup:.1f} x (origin {origin_s:.0f} s{told})",
            f">= {MIN_SPEEDUP:g} x", speedup >= MIN_SPEEDUP,
        ),
    ]  # fmt: skip


def make_pattern(folder: Path, episodes: int = EPISODES) -> list[Path]:
    """A few episodes of real play at full size, to be repeated."""
    from protege.arena.record import record_episodes

    return [episode.folder for episode in record_episodes(folder, episodes, seed=1, size=SIZE)]


def repeat(pattern: list[Path], folder: Path, frames: int) -> Path:
    """One session of `frames` frames that plays the pattern's episodes over and over; its pictures are hard links."""
    from dataclasses import replace

    from protege.core.events import Held
    from protege.core.session import Session, SessionInfo, SessionWriter, frame_path

    sources = [Session.open(path) for path in pattern]
    period = sources[0].info.period_ns
    with SessionWriter(folder, SessionInfo(frame_size=SIZE, source="bench")) as writer:
        count = 0
        while count < frames:
            source = sources[count % len(sources)]
            length = min(len(source), frames - count)
            shift = count * period - int(source.t_ns[0])
            stop = int(source.t_ns[length - 1]) + period
            for event in source.events:
                if event.t_ns <= stop:
                    writer.event(replace(event, t_ns=event.t_ns + shift))
            for i in range(length):
                number = writer.frame(int(source.t_ns[i]) + shift, b"")
                target = frame_path(folder, number)
                target.unlink()
                target.hardlink_to(source.path(i))
            count += length
            writer.event(Held(count * period, frozenset()))
    return folder


def disk_mb(folder: Path, shared_with: Path) -> float:
    """Megabytes of the files in a folder that are not hard links into another."""
    shared = {path.stat().st_ino for path in shared_with.rglob("*.jpg")}
    found = {(s.st_ino, s.st_blocks * 512) for path in folder.rglob("*") if path.is_file() and (s := path.stat())}
    return sum(size for inode, size in found if inode not in shared) / 1e6


def _timed(code: str, *arguments: Path | str) -> dict[str, float]:
    """Seconds and peak memory of a piece of code in a process of its own."""
    command = [sys.executable, "-c", code + _TELL, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProtegeError(f"the measured process failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def requests_per_s(concurrency: int, requests: int) -> float:
    """Answers a second that the `openai` back end gets from a server on loopback, each question with a picture."""
    from protege.labeling.backends.base import Question
    from protege.labeling.backends.openai import OpenAIServer

    picture = os.urandom(60_000)  # as large as a contact sheet; nobody decodes it
    count = max(concurrency, requests * concurrency // max(CONCURRENCY))
    with _server() as url:
        labeler = OpenAIServer(url, "bench", concurrency=concurrency)
        next(labeler.answers([Question(0, "warm up")]))
        started = time.perf_counter()
        answers = list(labeler.answers(Question(i, "What is the goal?", picture) for i in range(count)))
        seconds = time.perf_counter() - started
    if bad := [answer.problem for answer in answers if answer.problem]:
        raise ProtegeError(f"{len(bad)} of {count} requests failed: {bad[0]}")
    return count / seconds


_SERVER: Final = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(float(sys.argv[1]))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Open the door"}}
        body = json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def _server() -> Iterator[str]:
    """The address of a chat server in a process of its own, so that it does not share the client's interpreter."""
    process: Any = subprocess.Popen([sys.executable, "-c", _SERVER, str(ANSWER_S)], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
