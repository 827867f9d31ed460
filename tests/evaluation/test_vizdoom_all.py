"""`protege bench vizdoom --all`: recordings, two policies trained on them, and how far they come."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from protege.core.session import Session, find_sessions
from protege.errors import UserError
from protege.evaluation import vizdoom_all
from protege.evaluation.vizdoom_all import VizdoomAll, figures, share
from protege.evaluation.vizdoom_record import TAIL, game, record, steps
from protege.labeling import Given, label


class Always(random.Random):
    """A source of chance that lets everybody slip, to the right, for one decision."""

    def random(self):
        return 0.0

    def choice(self, seq):
        return "right"

    def randint(self, a, b):
        return 1


def test_where_the_player_slips_the_key_that_it_should_have_held_is_kept():
    with game("my_way_home", truth=True) as played:
        played.new(3)
        taken = [action for _, (_, action) in zip(range(40), steps(played, Always()), strict=False)]
    assert any("w" in action for action in taken)  # never held, since it always slips


def test_recordings_of_an_instant_give_plans_and_none_of_them_says_done(tmp_path):
    record(tmp_path / "raw", "basic", 2)
    found = find_sessions(tmp_path / "raw")
    sessions = [Session.open(path) for path in found]
    assert [session.name for session in sessions] == ["basic_000", "basic_001"]
    assert all(session.info.extra["corrected"] and session.info.frame_hz == 17.5 for session in sessions)
    assert label(found, tmp_path / "labeled", Given()).samples == sum(len(s) - 6 for s in sessions)
    lines = "".join(path.read_text() for path in tmp_path.glob("labeled/*/samples.jsonl")).splitlines()
    plans = [json.loads(json.loads(line)["messages"][1]["content"])["actions"] for line in lines]
    assert all(plan != ["none"] * 7 for plan in plans)
    assert plans[-1] == ["space"] * 7
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("raw/*/session.json")}
    record(tmp_path / "raw", "basic", 3)  # those that are there are kept
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(find_sessions(tmp_path / "raw")) == 3
    assert len(sessions[0]) > TAIL


def small(folder):
    only = ("training.max_steps=2", "training.batch_size=4", "system.compile_cache=null")
    only += ("model.conv_features=[4,4]", "model.dense_features=[8]")
    return VizdoomAll(("pixels",), folder, trained_on=3, episodes=2, overrides=only, scenarios=("basic",))


def test_a_stopped_run_goes_on_in_its_folder(tmp_path):
    first = {f.key: f.value for f in vizdoom_all.run(small(tmp_path))}
    keys = {f"reward_{who}_basic" for who in ("random", "w", "scripted", "pixels")} | {"share_basic"}
    assert first.keys() == keys | {f"{key}_ci" for key in keys} | {"share_reached"}
    low, high = first["reward_scripted_basic_ci"]
    assert low <= first["reward_scripted_basic"] <= high
    made = (tmp_path / "basic" / "pixels" / "model" / "card.json").stat().st_mtime_ns
    said: list[str] = []
    assert {f.key: f.value for f in vizdoom_all.run(small(tmp_path), said.append)} == first
    assert said == []  # nothing is done again
    (tmp_path / "basic" / "pixels.json").write_text(json.dumps({"rewards": [-7.0]}))  # stopped after an episode
    again = {f.key: f.value for f in vizdoom_all.run(small(tmp_path))}
    assert again["reward_random_basic"] == first["reward_random_basic"]
    rewards = json.loads((tmp_path / "basic" / "pixels.json").read_text())["rewards"]
    assert rewards[0] == -7.0
    assert len(rewards) == 2
    assert (tmp_path / "basic" / "pixels" / "model" / "card.json").stat().st_mtime_ns == made
    with pytest.raises(UserError, match="was begun with trained_on 3, not 4; name another --folder"):
        vizdoom_all.run(replace(small(tmp_path), trained_on=4))


def test_a_vision_language_model_is_trained_on_the_same_recordings(tmp_path):
    bench = replace(small(tmp_path), policies=("vlm",), episodes=1, steps=1, execute=7)
    found = {f.key: f.value for f in vizdoom_all.run(bench)}
    assert found.keys() >= {"reward_vlm_basic", "share_vlm_basic", "share_vlm_basic_ci", "share_vlm_reached"}
    assert (tmp_path / "basic" / "vlm" / "demo" / "model" / "card.json").exists()


def test_shares_are_of_the_way_from_random_keys_to_the_player():
    assert share(np.array([10.0, 20.0, 15.0])) == 0.5
    assert np.isnan(share(np.array([10.0, 10.0, 15.0])))
    by = {"random": [0.0, 0.0, 0.0, 0.0], "scripted": [10.0, 10.0, 10.0, 10.0], "pixels": [10.0, 8.0, 10.0, 10.0]}
    found = {f.key: f for f in figures({"basic": by}, ("pixels",))}
    assert found["share_basic"].value == 0.95
    assert found["share_basic"].good
    assert found["share_basic_ci"].value == [0.85, 1.0]
    assert not found["share_reached"].good  # one of four
    worse = {f.key: f for f in figures({"basic": {**by, "scripted": [0.0] * 4}}, ("pixels",))}
    assert worse["share_basic"].value is None
