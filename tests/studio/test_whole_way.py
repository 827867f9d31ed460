"""The whole way in the browser alone: record Chocolate Doom, label, correct a label, train, let it play and watch."""

import json
import random
import threading
import time

import pytest

pytest.importorskip("trl")

from protege.agent.record import PLANS
from protege.core import Session
from protege.core.labeled import find_segments
from protege.core.session import check, find_sessions
from protege.devices.keyboard import RealKeys
from protege.games.profile import load_game
from tests.recorder.test_live import start_doom
from tests.studio.conftest import Project, started

PROFILE = """\
window: "/chocolate doom/"
keys: [w, s, a, d, left, right, space]
size: [160, 120]
"""
TRAINING = """\
output: models/shooter
model: {{base: {base}, four_bit: false, device: cpu}}
data: {{workers: 0, validation: 0.3}}
lora: {{r: 4}}
training: {{max_steps: 2, batch: 2, accumulation: 1, report_to: none, gradient_checkpointing: false, score_samples: 4}}
"""
RECORDED_FRAMES = 90
WORK_MS = 120_000


@pytest.fixture
def project(tmp_path, tiny, xvfb):
    root = tmp_path / "p"
    for name in ("dataset", "models", "games", "configs"):
        (root / name).mkdir(parents=True)
    (root / "games" / "shooter.yaml").write_text(PROFILE)
    (root / "configs" / "vision_lora.yaml").write_text(TRAINING.format(base=tiny))
    game = start_doom(tmp_path)
    yield Project(root)
    game.kill()
    game.wait()


def walk(space, ended):
    """Somebody plays: a new choice every quarter of a second."""
    rng, keys = random.Random(0), RealKeys(space)
    try:
        while not ended.wait(0.25):
            keys.hold(frozenset({rng.choice(["w", "left", "right", "a", "d"])}))
    finally:
        keys.release_all()
        keys.presser.close()


def finished(page, command):
    """Wait until the work that was started, not the one before it, has ended well."""
    page.wait_for_function(
        "command => document.getElementById('work-command').textContent.startsWith('protege ' + command)"
        " && /^(done|stopped)/.test(document.getElementById('work-words').textContent)",
        arg=command,
        timeout=WORK_MS,
    )
    said = page.locator("#work-words").inner_text(), page.locator("#work-line").inner_text()
    assert said[0] == "done", said


def recorded(page, project):
    """Record until there are enough frames, with the button's own countdown."""
    page.click("text=Record yourself playing >> nth=-1")
    page.wait_for_function("() => document.getElementById('work-line').textContent.includes('recording starts in')")
    page.reload()
    assert page.locator("#work-command").inner_text().startswith("protege record --countdown 5")
    while (
        not (found := find_sessions(project.raw) if project.raw.is_dir() else []) or frames(found[0]) < RECORDED_FRAMES
    ):
        time.sleep(0.2)
    page.click("#work-stop")
    finished(page, "record")
    return Session.open(found[0])


def frames(session):
    return (session / "frames.jsonl").read_bytes().count(b"\n")


def test_somebody_records_labels_corrects_trains_and_watches_in_the_browser_alone(page, project):
    space, ended = load_game(str(project.root / "games" / "shooter.yaml")).space, threading.Event()
    player = threading.Thread(target=walk, args=(space, ended))
    with started(project.root) as served:
        page.goto(served.url)
        page.select_option("#record select", "shooter")
        player.start()
        try:
            session = recorded(page, project)
        finally:
            ended.set()
            player.join()
        assert check(session.folder) == []
        page.goto(served.base)
        page.fill("form[data-work=label] input", "Find the exit")
        page.click("form[data-work=label] button")
        finished(page, "label")
        names = [path.name for path in find_segments(project.labeled)]
        assert {project.segment(name).goal for name in names} == {"Find the exit"}
        page.goto(f"{served.base}/labels?show=all")
        page.wait_for_selector(".card.current")
        page.keyboard.press("e")
        page.keyboard.type("Open the door")
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.getElementById('undos').textContent === '1'")
        assert project.segment(names[0]).goal == "Open the door"
        page.goto(served.base)
        page.click("main .next button")
        finished(page, "train")
        page.goto(served.base)
        page.click(".list.tall >> text=shooter")
        page.wait_for_selector(".wrong figure")
        page.goto(served.base)
        page.fill("#play input[name=goal]", "Open the door")
        page.select_option("#play select[name=game]", "shooter")
        page.click("#play button")
        page.wait_for_selector("#run:not(.hidden)", timeout=WORK_MS)
        page.wait_for_function("() => document.getElementById('picture').naturalWidth > 0")
        page.wait_for_function("() => document.querySelectorAll('#plan kbd').length > 0", timeout=WORK_MS)
        page.click("#stop")
        finished(page, "play")
        (run,) = find_sessions(project.root / "dataset" / "agent_runs")
        lines = [json.loads(line) for line in (run / PLANS).read_text().splitlines()]
        assert all(len(line["p"]) == len(line["plan"]) == 7 for line in lines)
        page.goto(served.base)
        page.click(f".list >> text={run.name}")
        page.wait_for_selector("#plan:not(.hidden)")
