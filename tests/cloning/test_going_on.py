"""A run is its settings and its episodes: more of them are trained on, kills and Ctrl-C lose and double nothing."""

import json
import logging
import shutil

import numpy as np
import pytest

from protege import cli
from protege.cloning.checkpoint import last_about, load_model
from protege.cloning.split import split
from protege.cloning.store import Dataset
from protege.cloning.train import train
from protege.cloning.writer import Writer
from protege.core.files import locked
from protege.errors import UserError
from tests.cloning.stores import KEYS, actions, frames, store
from tests.cloning.tiny import interrupted, run

QUICK = ("system.pin_memory=false", "system.num_workers=0", "logging.log_every_n_steps=1")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("going_on")
    store(folder / "e.zarr", (12, 9, 15, 7), size=(24, 16))
    train(run(folder / "e.zarr", folder / "m", *QUICK))
    return folder


@pytest.fixture
def copied(once, tmp_path):
    return shutil.copytree(once, tmp_path / "copied")


def config(folder, *overrides):
    return run(folder / "e.zarr", folder / "m", f"dataset.path={folder / 'e.zarr'}", *QUICK, *overrides)


def more(folder, count=11, number=77):
    with Writer(folder / "e.zarr", KEYS) as writer:
        writer.episode(frames(count, number, (24, 16)), actions(count, number))


def sides(folder):
    about = last_about(folder / "m")
    assert about is not None
    return {part: {about.get("identities", {})[name] for name in names} for part, names in about["splits"].items()}


def weights(folder):
    import jax
    from flax import nnx

    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(load_model(folder / "m").model, nnx.Param))]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def rows(folder):
    return [json.loads(line) for line in (folder / "m" / "log.jsonl").read_text().splitlines()]


def test_more_episodes_reach_the_model_and_the_held_back_stay_so(copied, caplog):
    before, parts, logged = weights(copied), sides(copied), rows(copied)
    assert train(config(copied)).losses == (), "nothing to do with the same episodes"
    (copied / "m" / "metrics.json").write_text("{}")
    more(copied)
    with caplog.at_level(logging.INFO, "protege"):
        found = train(config(copied))
    assert "11 new samples (frames); going on from the weights that are there" in caplog.text
    assert found.losses
    assert not same(before, weights(copied))
    now = sides(copied)
    assert all(now[part] >= parts[part] for part in parts)
    about = last_about(copied / "m")
    assert about is not None
    assert [(link["samples"], link["steps"]) for link in about.get("runs", [])] == [(43, logged[-1]["step"])]
    assert about.get("new") == 11
    assert rows(copied)[: len(logged)] == logged
    assert {row["run"] for row in rows(copied)[len(logged) :]} == {1}
    assert not (copied / "m" / "metrics.json").exists(), "scores of other weights"
    assert train(config(copied)).losses == ()


def test_a_run_on_more_episodes_begins_with_the_best_weights_also_when_it_is_killed_at_once(copied):
    before = weights(copied)
    more(copied)
    interrupted(config(copied), "step 1 of")
    assert not same(before, weights(copied))
    found = train(config(copied))
    assert found.losses[0][0] == 3, "it goes on from its own first step"


def test_ctrl_c_ends_without_judging_and_nothing_is_doubled(copied):
    shutil.rmtree(copied / "m")
    first = interrupted(config(copied), "step 1 of")
    assert first.interrupted
    assert first.scores == {}
    with (copied / "m" / "log.jsonl").open("a") as file:  # logged, then killed before its checkpoint
        file.write('{"step": 3, "loss": 9.0}\n{"step": 4, "lo')
    rest = train(config(copied))
    assert not rest.interrupted
    steps = [row["step"] for row in rows(copied) if "loss" in row]
    assert steps == list(range(1, rest.steps + 1))


def test_a_run_that_was_stopped_while_it_was_judged_is_judged_by_the_same_command(copied):
    shutil.rmtree(copied / "m")
    straight = train(config(copied))
    shutil.rmtree(copied / "m")
    found = interrupted(config(copied, "evaluation.eval_every_n_epochs=9"), f"step {straight.steps} of")
    assert found.interrupted
    again = train(config(copied, "evaluation.eval_every_n_epochs=9"))
    assert (again.losses, again.interrupted) == ((), False)
    assert again.scores["f1"] == straight.scores["f1"]
    assert load_model(copied / "m").about.get("scores", {})["f1"] == straight.scores["f1"]
    about = last_about(copied / "m")
    assert about is not None
    assert about.get("step") == straight.steps


def test_other_actions_are_refused_and_other_settings_too(copied):
    for override in ("dataset.split_seed=7", "system.seed=1", "training.learning_rate=0.5"):
        with pytest.raises(UserError, match=rf"holds a run with {override.partition('=')[0]}=.*training\.resume=never"):
            train(config(copied, override))
    moved = copied / "moved.zarr"
    shutil.copytree(copied / "e.zarr", moved)
    assert train(config(copied, f"dataset.path={moved}")).losses == (), "the same episodes at another place"
    store(copied / "other.zarr", (12, 10, 8), size=(24, 16))
    with pytest.raises(UserError, match=r"holds a run with dataset\.path=.* is not all in"):
        train(config(copied, f"dataset.path={copied / 'other.zarr'}"))


@pytest.mark.parametrize("text", ["{", "[]", '{"config": 3}', "null", "[" * 50_000])
def test_a_damaged_checkpoint_is_called_damaged(copied, text):
    for path in (copied / "m" / "checkpoints").glob("[0-9]*/about/metadata"):
        path.write_text(text)
    for tried in (lambda: load_model(copied / "m"), lambda: train(config(copied))):
        with pytest.raises(UserError, match=r"damaged .*training\.resume=never"):
            tried()


def test_two_commands_in_one_folder_do_not_meet(once, capfd):
    with locked(once / "m", "protege train"):
        with pytest.raises(UserError, match=r"protege train \(process \d+, since"):
            train(run(once / "e.zarr", once / "m", *QUICK))
        assert cli.run(["clone", "evaluate", str(once / "m")]) == 2
    assert "is writing here" in capfd.readouterr().err


def test_episodes_keep_their_part_as_more_come(copied):
    first = split(Dataset.open(copied / "e.zarr"), seed=3)
    before = {e.identity: part for part, episodes in vars(first).items() for e in episodes}
    for number in range(60, 66):
        more(copied, 8, number)
    now = split(Dataset.open(copied / "e.zarr"), seed=3, before=before)
    parts = {e.identity: part for part, episodes in vars(now).items() for e in episodes}
    assert parts.items() >= before.items()
    assert len(parts) == 10
    gone = dict.fromkeys(before, "test")
    with pytest.raises(UserError, match="held back by the run before"):
        split(Dataset.open(copied / "e.zarr"), before={**dict.fromkeys(parts, "validation"), **gone})
