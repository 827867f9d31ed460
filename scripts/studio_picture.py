"""Makes docs/images/studio.webp: the studio's page of labels, with segments of the built-in game, in a real browser.

Run in the root of a clone: python scripts/studio_picture.py
"""

import io
import shutil
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from protege.cli import run
from protege.core.labeled import NEEDS_REVIEW, LabeledSegment, find_segments
from protege.labeling.store import write_segment
from protege.studio.serve import listening, server

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "studio.webp"


def main() -> None:
    """Record, label, open, press a few keys, and take the picture."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        raw, labeled = root / "dataset" / "raw_playthrough", root / "dataset" / "labeled_segments"
        recorded = ["arena", "record", "--episodes", "16", "--seed", "5100", "--size", "320x240", "--out", str(raw)]
        if run(recorded) or run(["label", "--backend", "given", "--raw", str(raw), "--out", str(labeled)]):
            raise SystemExit("recording or labeling failed")
        for path in find_segments(labeled):
            waiting = replace(LabeledSegment.load(path), status=NEEDS_REVIEW, why="")
            write_segment(labeled, waiting, sorted(path.glob("frame_*.jpg")))
        with listening(0) as (listener, gate):
            served = server(root, gate)
            thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]})
            thread.start()
            taken = shot(gate.address)
            served.should_exit = True
            thread.join()
    Image.open(io.BytesIO(taken)).save(PICTURE, "WEBP", quality=82)


def shot(address: str) -> bytes:
    """PNG of the page after a few decisions."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.goto(address.replace("/?", "/labels?show=review&"))
        page.goto(page.url.split("?")[0] + "?show=review")
        page.wait_for_selector(".card.current")
        for key in ("Enter", "Enter", "Enter", "x", "Enter", "Enter"):
            page.keyboard.press(key)
        page.wait_for_function("() => document.getElementById('undos').textContent === '6'")
        page.wait_for_timeout(3500)  # the last message goes, and all pictures are there
        taken = page.screenshot()
        browser.close()
    return taken


if __name__ == "__main__":
    main()
