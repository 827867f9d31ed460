"""Chocolate Doom through its window with mouse and fire: recorded, labeled, trained, played and replayed."""

import os
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("trl")

from protege.core import MonotonicClock, Session
from protege.core.events import Motion
from protege.core.session import check
from protege.devices import x11_keys
from protege.devices.hand import Hand
from protege.devices.x11_moving import buttons_down
from protege.games.profile import load_game
from tests.recorder.test_live import CONFIG, difference, start_doom

PROFILE = """\
window: "/chocolate doom/"
keys: [w, s, a, d, space]
mouse: {look: true, buttons: [left], counts_per_turn: 8200}
actions: {mouse_left: fire, space: open}
never: [esc, f10]
size: [160, 120]
goals: ["Find the exit"]
"""
PLAYED_S = 60


@pytest.fixture(scope="module")
def doom(xvfb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("doom")
    settings = folder / "settings"
    settings.mkdir()
    for name, other in {
        "default.cfg": {"use_mouse": "1", "mouse_sensitivity": "5", "mouseb_fire": "0"},
        "extra.cfg": {"grabmouse": "1", "mouse_acceleration": "1.0", "novert": "1"},
    }.items():
        kept = [line for line in (CONFIG / name).read_text().splitlines() if line.split()[0] not in other]
        (settings / name).write_text("\n".join([*kept, *(f"{key} {value}" for key, value in other.items())]) + "\n")
    game = start_doom(folder, config=settings, options=())
    yield game
    game.kill()
    game.wait()


@pytest.fixture(scope="module")
def project(doom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "games").mkdir()
    (folder / "games" / "shooter.yaml").write_text(PROFILE)
    return folder


def protege(project, *arguments, timeout=240):
    done = subprocess.run(
        [sys.executable, "-m", "protege.cli", *arguments],
        cwd=project,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done


def walk(space, ended, seed=0):
    """Somebody walks, looks round with the mouse and fires, a new choice every quarter of a second."""
    assert space.look is not None
    rng = random.Random(seed)
    clock = MonotonicClock()
    hand = Hand(space, clock, 250_000_000)
    try:
        while not ended.is_set():
            keys = {rng.choice("wwwsad"), *(["mouse_left"] if rng.random() < 0.3 else [])}
            turn = space.look.yaw.symbols[rng.choice([5, 7, 13, 15, 17])]
            hand.hold(frozenset({*keys, turn}))
            end = clock.now_ns() + 250_000_000
            while clock.now_ns() < end:
                hand.pump()
                time.sleep(0.01)
    finally:
        hand.close()


def turned(session):
    """The bins of every frame."""
    return session.info.space.turned(session.motion())


@pytest.fixture(scope="module")
def recorded(project):
    space = load_game(str(project / "games" / "shooter.yaml")).space
    ended = threading.Event()
    player = threading.Thread(target=walk, args=(space, ended))
    player.start()
    try:
        protege(
            project,
            *["record", "--game", "shooter", "--start-now", "--stop-after", "12", "--name", "s", "--out", "raw"],
        )
    finally:
        ended.set()
        player.join()
    return Session.open(project / "raw" / "s")


def test_looking_and_firing_are_recorded_and_the_view_turns(recorded):
    assert check(recorded.folder) == []
    symbols = set().union(*turned(recorded))
    assert len(symbols) >= 4
    assert "mouse_left" in {key for action in recorded.info.space.decode(recorded.actions()) for key in action}
    assert difference(recorded.frame(5), recorded.frame(60)) > 5


@pytest.fixture(scope="module")
def played(recorded, project, tiny):
    protege(project, *["label", "--raw", "raw", "--out", "data"], "--goal", "Find the exit")
    fixed = (
        *(f"model.base={tiny}", "data.folder=data", "output=model", "model.four_bit=false", "model.device=cpu"),
        *("data.workers=0", "data.frame_size=[160,120]", "lora.r=4", "training.max_steps=3", "training.batch=2"),
        *("training.accumulation=1", "training.report_to=none", "training.gradient_checkpointing=false"),
        *("training.score_samples=8", "data.validation=0.3"),
    )
    protege(project, "train", *fixed)
    minutes = str(PLAYED_S / 60)
    protege(
        project,
        *[
            "play",
            "--game",
            "shooter",
            "--model",
            "model",
            "--countdown",
            "0",
            "--device",
            "cpu",
            "--temperature",
            "1",
            "--out",
            "runs",
        ],
        *("--max-minutes", minutes),
    )
    return Session.open(next((project / "runs").iterdir()))


def test_a_trained_model_plays_with_the_mouse_and_leaves_nothing_down(played):
    assert check(played.folder) == []
    assert played.duration_s > PLAYED_S / 2
    assert {symbol for action in turned(played) for symbol in action}
    assert difference(played.frame(0), played.frame(len(played) - 1)) > 5
    assert x11_keys.keys_down(played.info.space.pressable[:5]) == set()
    assert buttons_down() == set()


def test_the_run_is_replayed_to_the_same_bins(played, project):
    again = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "protege.cli",
            *["record", "--game", "shooter", "--start-now", "--name", "again", "--out", "raw"],
        ],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (project / "raw" / "again" / "events.jsonl").exists():
            assert again.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        protege(project, "replay", str(played.folder), "--countdown", "0", "--window", "chocolate doom")
    finally:
        again.terminate()
        again.wait(30)
    heard = Session.open(project / "raw" / "again")
    true, found = (np.array([(e.t_ns, e.dx, e.dy) for e in s.events if isinstance(e, Motion)]) for s in (played, heard))
    assert found[:, 1:].sum(0).tolist() == true[:, 1:].sum(0).tolist()
    # At the run's own frames, counted from the first motion of each.
    edges = played.t_ns - true[0, 0]
    sums = [np.searchsorted(one[:, 0] - one[0, 0], edges) for one in (true, found)]
    totals = [np.concatenate([[[0, 0]], one[:, 1:].cumsum(0)])[at] for one, at in zip((true, found), sums, strict=True)]
    bins = [played.info.space.turned(np.diff(total, axis=0)) for total in totals]
    same = np.mean([one == other for one, other in zip(*bins, strict=True)])
    assert same > 0.6, same  # a motion some ms later may fall into the next frame, on a busy machine more often
    assert buttons_down() == set()
