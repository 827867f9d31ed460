"""The whole demo in small: it replaces only what it made, goes on where it was stopped, leaves nothing half done."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from protege import demo
from protege.cloning.checkpoint import load_model
from protege.cloning.store import Dataset
from protege.core import Session, SessionInfo, SessionWriter, encode_jpeg
from protege.core.actions import KEYBOARD_12
from protege.core.session import check, find_sessions
from protege.demo import window
from protege.demo.clip import clip
from protege.demo.places import Places
from protege.demo.progress import Progress, lines_of, spoken
from protege.devices.x11_keys import keys_down
from protege.errors import MissingExtra, UserError

pytestmark = pytest.mark.usefixtures("xvfb")

TINY = demo.Scale(window_s=3, episodes=6, steps=2, batch=4, cloned=4, epochs=2, played=2, live=1)


def recording(folder, **extra):
    import numpy as np

    writer = SessionWriter(folder, SessionInfo(frame_size=(32, 24), extra=extra))
    writer.frame(0, encode_jpeg(np.zeros((24, 32, 3), np.uint8)))
    return writer.finish()


def thesis(folder):
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("ten years of work")


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def shown(xvfb, tmp_path_factory):
    """A whole demo, stopped once in the middle of each training."""
    root = tmp_path_factory.mktemp("dataset")
    said = []

    def stop_in_training(text):
        said.append(text)
        if ("step 1 of" in text and "loss" in text) or ("validation" in text and said.count("again") == 1):
            os.kill(os.getpid(), signal.SIGINT)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            demo.run(root, TINY, stop_in_training)
        said.append("again")
    return demo.run(root, TINY, said.append), Places(root), said


def test_the_page_shows_every_stage_and_needs_nothing_beside_it(shown):
    made, places, _ = shown
    text = made.page.read_text(encoding="utf-8")
    assert made.page == places.page
    for heading in (
        "1. Recorded",
        "2. Labeled",
        "3. Trained",
        "4. Scored",
        "5. A second",
        "Do they reach their goals?",
    ):
        assert heading in text
    assert "3.8 million parameters" in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert text.count("data:image/webp") == 2
    assert "data:image/png" in text
    for name in ("tiny Qwen3-VL", "pixel CNN", "random", "repeat", "expert"):
        assert f"<td>{name}" in text


def test_what_it_shows_was_made(shown):
    made, places, _ = shown
    assert check(places.window) == []
    assert len(find_sessions(places.episodes)) == TINY.episodes
    assert (places.model / "adapter_model.safetensors").exists()
    assert made.facts["train"]["steps"] == TINY.steps
    assert load_model(places.cloned).config.training.num_epochs == TINY.epochs
    assert Dataset.open(places.steps).frame_size == (80, 60)
    rates = made.facts["play"]["rates"]
    assert [found["of"] for found in rates.values()] == [TINY.played] * 5
    assert rates["expert"]["won"] == rates["expert"]["of"] == TINY.played
    assert all(found["won"] == found["of"] == 1 for found in made.facts["play"]["goals"]["expert"].values())
    tasks = [SessionInfo.load(folder).extra["task"] for folder in find_sessions(places.episodes)]
    assert set(tasks) == {"go_to", "open_door", "climb_stairs", "check_posters"}
    asked = [run["goal"] for run in made.facts["play"]["live"]]
    assert asked == ["lantern", "stairs", "door", "posters"]
    for run in (runs := find_sessions(places.runs)):
        assert check(run) == []
    assert len(runs) == 4
    assert not [path for path in places.work.rglob("*") if path.name.endswith(".part")]


def test_a_stopped_demo_goes_on_where_it_was(shown):
    _, places, said = shown
    first = said.index("again")
    second = said.index("again", first + 1)
    before, between, after = said[:first], said[first + 1 : second], said[second + 1 :]
    assert any("fine-tune" in text for text in before)
    assert "[1/7] record the game: done before" in between
    assert "[2/7] label what was played: done before" in between
    assert not any("step 1 of" in text and "loss" in text for text in between)
    assert any("166219 weights" in text for text in between)
    assert "[4/7] score it before it plays: done before" in after
    (going_on,) = [text for text in after if "going on after step" in text]
    assert str(places.cloned) in going_on


def test_rooms_to_learn_from_and_rooms_to_play_are_different_ones(shown):
    from protege.arena.rooms import EVAL_SEED_START, USER_SEEDS

    made, places, _ = shown
    seeds = [SessionInfo.load(folder).extra["seed"] for folder in find_sessions(places.episodes)]
    assert set(seeds) <= set(USER_SEEDS)
    assert all(run["seed"] >= EVAL_SEED_START for run in made.facts["play"]["live"])


def only_noting(folder, scale, done):
    """A demo whose one stage only notes that it ran: what is tested is what goes on and what begins anew."""

    def noting(places, scale, say):
        done.append(scale)
        return {}

    demo.run(folder, scale, stages={"note": ("note it", noting)}, write_page=lambda places, facts: places.page)


def test_a_finished_demo_begins_anew_and_one_of_another_scale_too(tmp_path):
    done = []
    only_noting(tmp_path, TINY, done)
    only_noting(tmp_path, TINY, done)
    assert done == [TINY, TINY]
    (tmp_path / "demo" / "left over").touch()
    only_noting(tmp_path, demo.QUICK, done)
    assert not (tmp_path / "demo" / "left over").exists()


@pytest.mark.parametrize("occupy", [thesis, recording])
def test_what_the_demo_did_not_make_stays_and_is_named(tmp_path, occupy):
    out = tmp_path / "raw_playthrough"
    out.mkdir()
    thesis(tmp_path / ".demo")
    occupy(out / "demo")
    before = files(tmp_path)
    with pytest.raises(UserError, match="demo: not a recording of the demo, so it stays; rename it, or give another"):
        window.record(out / "demo", 2.0)
    assert files(tmp_path) == before


def test_a_folder_in_its_place_stays_and_is_named(tmp_path):
    thesis(tmp_path / "demo")
    before = files(tmp_path)
    with pytest.raises(UserError, match="demo: not made by the demo, so it stays; rename it, or give another --out"):
        demo.run(tmp_path, TINY)
    (tmp_path / "demo" / "demo.json").write_text(json.dumps({"facts": {}, "made_by": "somebody"}))
    with pytest.raises(UserError, match="not made by the demo"):
        demo.run(tmp_path, TINY)
    (tmp_path / "demo" / "demo.json").unlink()
    assert files(tmp_path) == before


def test_a_recording_of_yours_in_its_place_leaves_an_earlier_demo_as_it_was(tmp_path):
    only_noting(tmp_path, TINY, [])
    recording(tmp_path / "raw_playthrough" / "demo")
    before = files(tmp_path)
    with pytest.raises(UserError, match="not a recording of the demo"):
        demo.run(tmp_path, demo.QUICK)
    assert files(tmp_path) == before


def test_it_replaces_its_own_recording_which_goes_to_the_trash(tmp_path):
    recording(tmp_path / "demo", demo=True, number=1)
    thesis(tmp_path / "raw" / ".demo")
    made = window.record(tmp_path / "demo", 3.0)
    session = Session.open(made.session)
    assert session.info.extra == {**session.info.extra, "demo": True}
    assert "number" not in session.info.extra
    assert session.info.verdict is not None
    assert made.goals >= 1
    assert check(made.session) == []
    assert SessionInfo.load(tmp_path / ".trash" / "demo").extra["number"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".trash", "demo", "raw"]


@pytest.mark.parametrize("whom", ["the demo alone", "everybody, as a terminal does"])
def test_ctrl_c_leaves_nothing_half_written(tmp_path, whom):
    out = tmp_path / "data"
    command = [sys.executable, "-m", "protege.cli", "demo", "--quick", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True)
    end = time.monotonic() + 30
    while not list(tmp_path.rglob("events.jsonl")) and time.monotonic() < end:
        time.sleep(0.05)
    (os.kill if whom == "the demo alone" else os.killpg)(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.startswith("this takes some minutes on two cores")
    assert errors.endswith("protege: interrupted\n")
    assert "Traceback" not in errors
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    assert left == ["demo", "demo/demo.json", "raw_playthrough"]
    assert keys_down(KEYBOARD_12.pressable) == set()


def test_a_clip_lasts_as_long_as_the_goals_and_has_its_keys(shown):
    _, places, _ = shown
    run = find_sessions(places.runs)[0]
    session = Session.open(run)
    pictures = sum(span.stop - span.start for span in session.spans() if span.goal)
    with Image.open(io.BytesIO(clip([run], width=160, hold_s=1.0))) as animated:
        assert animated.width >= 160  # a keyboard may be wider
        lasts = 0  # equal pictures become one that lasts longer
        for number in range(getattr(animated, "n_frames", 1)):
            animated.seek(number)
            animated.load()
            lasts += animated.info["duration"]
    assert lasts == 100 * (pictures - 1) + 1000


def test_progress_says_what_is_left_now_and_then():
    said, now = [], iter([0.0, 2.0, 6.0, 7.0, 20.0])
    progress = Progress("episodes", 4, said.append, clock=lambda: next(now))
    for _ in range(4):
        progress.step()
    assert said == ["episodes: 2 of 4, 6 s left"]
    assert [spoken(8), spoken(99), spoken(150)] == ["8 s", "99 s", "2 min"]


def test_lines_of_a_logger_are_told_and_nowhere_else(caplog):
    import logging

    said = []
    with lines_of("protege.test", said.append):
        logging.getLogger("protege.test").info("step %d", 1)
    logging.getLogger("protege.test").info("step %d", 2)
    assert said == ["step 1"]
    assert "step 1" not in caplog.text


def test_a_demo_of_nothing_is_refused():
    with pytest.raises(UserError, match="at least one of everything"):
        demo.Scale(played=0)
    with pytest.raises(UserError, match="clones from 3 episodes on"):
        demo.Scale(cloned=2)


def test_a_library_that_is_needed_later_is_missed_before_anything_is_made(tmp_path):
    with pytest.raises(MissingExtra, match=r"nosuchlibrary.*cloning"):
        demo.run(tmp_path, TINY, needed={"nosuchlibrary": "cloning"})
    assert not list(tmp_path.iterdir())
