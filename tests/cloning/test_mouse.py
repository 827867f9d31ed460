"""Looking with the mouse, cloned from pixels: bins of two further heads, stored as counts, played back as actions."""

import json
from dataclasses import replace

import numpy as np
import pytest

from protege.cloning import loader, thresholds
from protege.cloning.checkpoint import load_model
from protege.cloning.data import Data, loader_options
from protege.cloning.episodes import StepStore, export_sessions
from protege.cloning.evaluate import evaluate
from protege.cloning.policy import CloningPolicy
from protege.cloning.store import Dataset
from protege.cloning.train import train
from protege.cloning.writer import Writer
from protege.core import ActionSpace, Frame
from protege.core.card import ModelCard
from protege.core.looking import look
from protege.errors import UserError
from tests.cloning import tiny
from tests.labeling.recordings import record

MOUSE = look()
SPACE = ActionSpace("GAME", ("w", "mouse_left", "none"), frozenset("w"), meanings={"mouse_left": "fire"}, look=MOUSE)
W, LEFT, RIGHT = frozenset("w"), frozenset(("yaw-5",)), frozenset(("yaw5", "pitch1"))
PERIOD = 100_000_000


def lit(side):
    """A picture whose bright half says where to look."""
    rgb = np.full((16, 24, 3), 30, np.uint8)
    rgb[:, 12 * side : 12 * side + 12] = 220
    return rgb


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mouse")
    rng = np.random.default_rng(0)
    with StepStore(folder / "d.zarr", SPACE.pressable, (24, 16), "arena", space=SPACE) as store:
        for number in range(6):
            sides = rng.integers(0, 2, 30)
            store.add(f"e{number}", [(lit(s), W | (RIGHT if s else LEFT)) for s in sides], "Look", {})
    config = tiny.run(folder / "d.zarr", folder / "model", "training.num_epochs=12", name="temporal_cnn")
    train(config)
    return config, folder / "model"


def test_a_policy_learns_where_to_look_and_says_it_in_its_space(trained):
    _, folder = trained
    policy = CloningPolicy(folder)
    assert policy.card.space == SPACE
    assert ModelCard.load(folder).space.meanings == SPACE.meanings
    said = {side: policy.predict(Frame(lit(side), side * 100 * PERIOD), "Look").steps[0] for side in (0, 1)}
    assert said == {0: W | LEFT, 1: W | RIGHT}


def test_scores_tell_of_each_axis_in_degrees(trained):
    _, folder = trained
    found = evaluate(folder).evaluation.to_json()["look"]
    assert found["yaw"]["direction_accuracy"] == 1
    assert found["yaw"]["error_deg"] < 1
    lines = [json.loads(line) for file in folder.rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert any("validation_yaw_error_deg" in line for line in lines)


def test_each_axis_is_a_distribution_of_its_own(trained):
    config, folder = trained
    data = Data.open(config)
    loaded = load_model(folder)
    batch = next(loader.batches(data.cache, [data.splits.test[0].name], replace(loader_options(config), shuffle=False)))
    probs = loaded.forward(batch)
    yaw, pitch = loaded.setting.axes
    assert probs[..., yaw].sum(-1) == pytest.approx(1, abs=1e-5)
    assert probs[..., pitch].sum(-1) == pytest.approx(1, abs=1e-5)
    held = thresholds.played(probs, loaded.thresholds)
    assert (held[..., yaw].sum(-1) == 1).all()
    assert (held[..., pitch].sum(-1) == 1).all()


KEY, AXIS = 0.5, thresholds.AXES[0]


def test_of_a_turn_that_is_spread_over_bins_the_median_is_played():
    marks = np.array([KEY, *(AXIS,) * 5])
    unsure = np.array([0.9, 0.0, 0.0, 0.3, 0.2, 0.5])  # standing still has one bin, the turn has two
    assert thresholds.played(unsure, marks).tolist() == [True, False, False, False, True, False]
    still = np.array([0.9, 0.1, 0.1, 0.5, 0.2, 0.1])
    assert thresholds.played(still, marks).tolist() == [True, False, False, True, False, False]


def test_who_hesitates_whether_to_turn_turns_and_who_is_sure_stands():
    marks = np.array([KEY, *(AXIS,) * 5])
    hesitant = np.array([0.1, 0.02, 0.02, 0.55, 0.3, 0.11])
    assert thresholds.played(hesitant, marks).tolist() == [False, False, False, False, True, False]
    walks = np.array([0.48, 0.02, 0.02, 0.55, 0.3, 0.11])
    assert thresholds.played(walks, marks).tolist() == [True, False, False, True, False, False]
    sure = np.array([0.1, 0.02, 0.02, 0.92, 0.02, 0.02])
    assert thresholds.played(sure, marks).tolist() == [False, False, False, True, False, False]


def test_sessions_are_exported_with_their_motion_and_those_of_the_twelve_keys_without(tmp_path):
    record(tmp_path / "raw", [W | RIGHT, LEFT, W] * 8, space=SPACE)
    export_sessions(tmp_path / "raw", tmp_path / "d.zarr")
    dataset = Dataset.open(tmp_path / "d.zarr")
    assert dataset.space == SPACE
    (episode,) = dataset.episodes
    assert episode.mouse is not None
    assert episode.mouse.dtype == np.float32
    assert episode.mouse.tolist()[:3] == [[round(x) for x in SPACE.counts(step)] for step in (W | RIGHT, LEFT, W)]
    assert dataset.keys == (*SPACE.pressable, *MOUSE.yaw.symbols, *MOUSE.pitch.symbols)
    record(tmp_path / "twelve", [W] * 20)
    export_sessions(tmp_path / "twelve", tmp_path / "t.zarr")
    assert not list((tmp_path / "t.zarr").glob("*/mouse"))
    assert "action_space" not in (tmp_path / "t.zarr" / "zarr.json").read_text()


def test_a_store_without_the_motion_it_promises_is_refused(tmp_path):
    with Writer(tmp_path / "d.zarr", SPACE.pressable, space=SPACE) as writer:
        writer.episode([lit(0).transpose(2, 0, 1)] * 3, np.ones((3, 2), bool))
    with pytest.raises(UserError, match="no array mouse"):
        Dataset.open(tmp_path / "d.zarr")
    with pytest.raises(UserError, match="was written for GAME"):
        Writer(tmp_path / "d.zarr", SPACE.pressable)
