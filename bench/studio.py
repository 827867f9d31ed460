"""python -m bench studio: how fast are the pages, how few keys does a segment take, and who is refused?

A project of an hour's recording and 2,000 segments, served by `protege studio`, in headless Chromium.
"""

import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from bench.studio_hostile import refused, requests
from protege.core.actions import KEYBOARD_12
from protege.core.events import Held, Key
from protege.core.labeled import NEEDS_REVIEW, LabeledSegment, find_segments
from protege.core.session import SessionInfo, SessionWriter
from protege.errors import ProtegeError
from protege.evaluation.figures import Figure
from protege.labeling import Given, label
from protege.labeling.store import write_segment
from protege.studio.gate import Gate
from protege.studio.segments import identity

PERIOD_NS: Final = 100_000_000
SEGMENT_FRAMES: Final = 40
PICTURES: Final = 40
FRESH: Final = 7
"""Fresh profiles of the browser, of which the median counts."""
MAX_FIRST_MS, MAX_LABELS_MS, MAX_SEEK_MS, MAX_MB, MAX_KEYS = 300, 1000, 100, 200, 1.5
REVIEWED: Final = 60
WHY: Final = "no model could name it"
KEYS: Final = (
    *("e", *"Find the exit", "Enter", *["Enter"] * 20, *["2"] * 10, "x", *["Enter"] * 8),
    *(*["Shift+ArrowRight"] * 4, "2", "]", *["Enter"] * 12, "x", "x", "u", "x", "Enter"),
)
"""A sitting with 60 segments: most goals are right, some another recent one, one is new; four are set aside or chosen
together, an edge is moved, a mistake taken back."""


def run(segments: int = 2000, hours: float = 1.0, seeks: int = 100, say: Callable[[str], None] = print) -> list[Figure]:
    """All figures. segments: on the page of labels; hours: of the recording that is sought in; seeks: at random."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as play:
        say("making the recordings and segments")
        large, small = Path(place) / "large", Path(place) / "small"
        make_large(large, segments, hours)
        make_small(small)
        browser = play.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        with started(large) as (process, url):
            say("pages")
            found = pages(browser, url, seeks)
            memory = _peak_mb(process.pid)
            say("hostile requests")
            found += hostile(url)
        with started(small) as (_, url):
            say("keys and accessibility")
            found += [*keys(browser, url), axe(browser, url)]
        browser.close()
    return [*found, Figure("memory_mb", memory, f"{memory:.0f} MB", f"≤ {MAX_MB}", memory <= MAX_MB)]


def pages(browser: Browser, url: str, seeks: int) -> list[Figure]:
    """The first page, the labels' page to its first picture, both with nothing cached, and seeking."""
    base = url.split("/?")[0]
    opened = [_opened(browser, url) for _ in range(FRESH)]
    first, labels = (float(np.median(times)) for times in zip(*opened, strict=True))
    page = _page(browser)
    page.goto(url)
    page.goto(f"{base}/recordings/{identity('hour')}/play")
    page.wait_for_function("() => document.getElementById('of').textContent !== ''")
    last = int(page.locator("#seek").get_attribute("max") or 0)
    took = [_seek(page, random.Random(i).randint(0, last)) for i in range(seeks)]
    slow = float(np.percentile(took, 95))
    page.context.close()
    return [
        Figure("first_page_ms", first, f"{first:.0f} ms", f"≤ {MAX_FIRST_MS}", first <= MAX_FIRST_MS),
        Figure("labels_page_ms", labels, f"{labels:.0f} ms", f"≤ {MAX_LABELS_MS}", labels <= MAX_LABELS_MS),
        Figure("seek_ms", slow, f"{slow:.0f} ms (95th of 100)", f"≤ {MAX_SEEK_MS}", slow <= MAX_SEEK_MS),
    ]


def _opened(browser: Browser, url: str) -> tuple[float, float]:
    """Milliseconds until the first page is there, and that of labels with a picture, in a fresh profile."""
    page = _page(browser)
    page.goto(url)
    first = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    page.goto(f"{url.split('/?')[0]}/labels?show=review")
    labels = page.evaluate("document.querySelector('.card img').decode().then(() => performance.now())")
    page.context.close()
    return first, labels


def _page(browser: Browser) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(120_000)
    return page


def _seek(page: Page, frame: int) -> float:
    """Milliseconds from moving the slider to the picture."""
    return page.evaluate(
        """(frame) => new Promise((done) => {
            const seek = document.getElementById('seek'), picture = document.getElementById('picture');
            const since = performance.now();
            seek.value = frame;
            seek.dispatchEvent(new Event('input'));
            picture.decode().then(() => done(performance.now() - since));
        })""",
        frame,
    )


def keys(browser: Browser, url: str) -> list[Figure]:
    """Review a project by keys alone."""
    page = _page(browser)
    page.goto(url)
    page.goto(f"{url.split('/?')[0]}/labels?show=review")
    page.wait_for_selector(".card.current")
    pressed = sitting(page)
    page.context.close()
    each = pressed / REVIEWED
    return [Figure("keystrokes_per_segment", each, f"{each:.2f}", f"≤ {MAX_KEYS}", each <= MAX_KEYS)]


def sitting(page: Page) -> int:
    """Press KEYS until no segment waits any more; returns how many they are."""
    for number, key in enumerate(KEYS):
        if number == KEYS.index("2"):  # nobody presses it before it stands there
            page.wait_for_selector("#recent li:nth-child(2)")
        page.keyboard.press(key)
    page.wait_for_function("() => document.querySelectorAll('.card[data-state=review]').length === 0")
    return len(KEYS)


def axe(browser: Browser, url: str) -> Figure:
    """Serious findings of axe on all pages in both themes."""
    base, count = url.split("/?")[0], 0
    for scheme in ("light", "dark"):
        page = browser.new_context(color_scheme=scheme, reduced_motion="reduce").new_page()
        page.goto(url)
        for path in ("/", "/labels?show=all", f"/recordings/{identity('s')}/play", "/live"):
            page.goto(base + path)
            page.wait_for_timeout(300)
            found = Axe().run(page).response["violations"]
            count += sum(len(v["nodes"]) for v in found if v["impact"] in ("serious", "critical"))
        page.context.close()
    return Figure("axe_serious", count, f"{count}", "0", count == 0)


def hostile(url: str) -> list[Figure]:
    """Requests that must be refused, and how many were."""
    port, token = urlsplit(url).port or 0, url.split("token=")[1]
    sent = list(requests(port))
    kept = sum(refused(port, token, Gate(port, token).changes, one) for one in sent)
    return [
        Figure("hostile_requests", len(sent), f"{len(sent)}", "≥ 40", len(sent) >= 40),
        Figure("hostile_requests_refused", kept, f"{kept}", "all", kept == len(sent)),
    ]


def make_large(root: Path, segments: int, hours: float) -> None:
    """A project with one long recording and many segments, whose pictures are links to a few."""
    (root / "models").mkdir(parents=True)
    pictures = _pictures(root / "pictures")
    raw = root / "dataset" / "raw_playthrough"
    with SessionWriter.create(raw, SessionInfo(source="bench"), "hour") as writer:
        writer.event(Held(0, frozenset()))
        for i in range(round(hours * 36_000)):
            if i % 15 == 0:
                writer.event(Key(i * PERIOD_NS, "w", i % 30 == 0))
            number = writer.frame(i * PERIOD_NS, b"")
            target = writer.folder / "frames" / f"{number:06d}.jpg"
            target.unlink()
            target.hardlink_to(pictures[i % PICTURES])
    labeled = root / "dataset" / "labeled_segments"
    labeled.mkdir()
    w = KEYBOARD_12.only(["w"])
    for i in range(segments):
        start = i * SEGMENT_FRAMES
        goal = f"Open door {i % 12}"
        made = LabeledSegment(
            f"other_seg{i:03d}", "other", start, start + SEGMENT_FRAMES, goal, NEEDS_REVIEW, WHY, "bench"
        )
        made = replace(made, held=(w,) * SEGMENT_FRAMES, slots=(w,) * SEGMENT_FRAMES, goal_stop=made.stop)
        write_segment(labeled, made, pictures)


def make_small(root: Path) -> None:
    """A project with a recording of four minutes, whose 60 segments all need review."""
    (root / "models").mkdir(parents=True)
    pictures = _pictures(root / "pictures")
    raw, labeled = root / "dataset" / "raw_playthrough", root / "dataset" / "labeled_segments"
    with SessionWriter.create(raw, SessionInfo(frame_size=(640, 480), source="bench"), "s") as writer:
        writer.event(Held(0, frozenset()))
        for i in range(REVIEWED * SEGMENT_FRAMES):
            if i % 15 == 0:
                writer.event(Key(i * PERIOD_NS, "w", i % 30 == 0))
            writer.frame(i * PERIOD_NS, pictures[i % PICTURES].read_bytes())
    label([raw / "s"], labeled, Given("Open the door"))
    for path in find_segments(labeled):
        waiting = replace(LabeledSegment.load(path), status=NEEDS_REVIEW, why=WHY)
        write_segment(labeled, waiting, sorted(path.glob("frame_*.jpg")))


def _pictures(folder: Path) -> Sequence[Path]:
    """JPEGs of 640x480 that differ, as large as a game's."""
    folder.mkdir()
    x, y = np.meshgrid(np.arange(640), np.arange(480))
    noise = np.random.default_rng(0).integers(0, 24, (480, 640, 3))
    for i in range(PICTURES):
        rgb = np.stack([(x + i * 16) % 256, (y + i * 8) % 256, (x + y) // 5 % 256], axis=-1) * 9 // 10 + noise
        buffer = io.BytesIO()
        Image.fromarray(rgb.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        (folder / f"{i:02d}.jpg").write_bytes(buffer.getvalue())
    return sorted(folder.iterdir())


@contextmanager
def started(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`protege studio` in a project; yields the process and its address."""
    command = [sys.executable, "-m", "protege.cli", "studio", "--no-browser"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, **quiet) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            time.sleep(1)  # it listens before it prints; what is measured is the page and not Python's start
            yield process, url
        finally:
            process.kill()


def _peak_mb(pid: int) -> float:
    """VmHWM of a process; ProtegeError where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError as error:
        raise ProtegeError(f"the studio's memory cannot be read here ({error}); measure on Linux") from None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _chromium() -> str:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise ProtegeError("chromium is missing; install it with: apt-get install chromium")
    return path
