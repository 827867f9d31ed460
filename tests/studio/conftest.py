"""A project with real recordings and labels, the studio serving it in a process of its own, and a real browser."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from protege.core.actions import NO_KEYS
from protege.core.labeled import NEEDS_REVIEW, LabeledSegment, find_segments
from protege.labeling import Given, label
from protege.labeling.store import write_segment
from protege.studio.serve import listening, server
from tests.conftest import need
from tests.labeling.recordings import HOLD, record

W, RIGHT = HOLD["w"], HOLD["right"]
NASTY = "<img src=x onerror=alert(1)>"
"""A goal, title or name that would run in a page that believed it."""


@dataclass
class Project:
    """root: the folder; raw, labeled: what is in it."""

    root: Path

    @property
    def raw(self):
        return self.root / "dataset" / "raw_playthrough"

    @property
    def labeled(self):
        return self.root / "dataset" / "labeled_segments"

    def segment(self, name):
        return LabeledSegment.load(self.labeled / name)

    def pictures(self, name):
        return [path.read_bytes() for path in sorted((self.labeled / name).glob("frame_*.jpg"))]


def make(root, *, seconds=12, sessions=("s",), goal="Open the door", waiting=True):
    """A project: each session has `seconds` at 10 Hz, a segment every 4 s. waiting: all of them need review."""
    project = Project(root)
    (root / "models").mkdir(parents=True)
    for name in sessions:
        steps = [W if (i // 7) % 2 else RIGHT for i in range(seconds * 10)]
        steps[3] = NO_KEYS
        record(project.raw, steps, name)
    label([project.raw / name for name in sessions], project.labeled, Given(goal))
    if waiting:
        for path in find_segments(project.labeled):
            segment = LabeledSegment.load(path)
            put(project, segment, status=NEEDS_REVIEW, why="no model could name it")
    return project


def put(project, segment, **changed):
    """Write a segment as it would be with these fields."""
    from dataclasses import replace

    pictures = sorted((project.labeled / segment.name).glob("frame_*.jpg"))
    write_segment(project.labeled, replace(segment, **changed), pictures)


@dataclass
class Served:
    """A studio that serves a project. url: with its token; process: None where it is this one."""

    url: str
    process: Any = None

    @property
    def base(self):
        return self.url.split("/?")[0]

    @property
    def port(self):
        return urlsplit(self.url).port

    @property
    def token(self):
        return self.url.split("token=")[1]


@contextmanager
def serving(root):
    """In a thread of this process, which is there at once."""
    with listening(0) as (listener, gate):
        served = server(root, gate)
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Served(gate.address)
        finally:
            served.should_exit = True
            thread.join()


@contextmanager
def started(root):
    """In a process of its own, by the command."""
    process = subprocess.Popen(
        [sys.executable, "-m", "protege.cli", "studio", "--no-browser"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Served(process.stdout.readline().strip(), process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def chromium():
    """Not for longer than a module: while it is there asyncio cannot be used in this thread."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=need("chromium", "chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page that fails the test if a script in it fails or a dialog opens."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    yield page
    context.close()
    assert [text for text in wrong if text != "Failed to fetch"] == []  # what a page asked for when it was left
