"""A trained model, scored on what its training held back and on other data."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protege import cli
from protege.cloning import cache, loader
from protege.cloning.baselines import majority
from protege.cloning.checkpoint import load_model
from protege.cloning.compare import compare
from protege.cloning.config import load
from protege.cloning.evaluate import ahead, evaluate, goals_for, places
from protege.cloning.goals import word_numbers
from protege.cloning.store import Dataset
from protege.cloning.thresholds import choose, untuned
from protege.cloning.train import train
from protege.cloning.writer import Writer
from protege.errors import UserError
from tests.cloning import tiny

KEYS = ("left", "right", "never")
GOALS = ("Go to the lantern", "Open the door")


def write(path, goals=GOALS, keys=KEYS, episodes=8, length=30, seed=0):
    """A square stands where the action is; the goal decides which of two colours counts."""
    writer = Writer(path, keys)
    rng = np.random.default_rng(seed)
    for goal in goals:
        writer.goal(goal)
    for number in range(episodes):
        sides = np.repeat(rng.integers(0, 2, -(-length // 5)), 5)[:length]
        frames = rng.integers(0, 60, (length, 3, 12, 16), dtype=np.uint8)
        for t, side in enumerate(sides):
            frames[t, :, 2:10, 8 * side : 8 * side + 8] += 150
        actions = np.zeros((length, len(keys)), bool)
        actions[np.arange(length), sides] = True
        writer.episode(frames, actions, goal=np.full(length, writer.goal(GOALS[number % 2]), np.int32))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    settings = {
        "dataset.path": write(folder / "episodes.zarr"),
        "training.checkpoint_dir": folder / "model",
        "model.conv_features": "[8]",
        "model.dense_features": "[16]",
        "model.goal": "index",
        "model.pool": "keypoints",
        "training.num_epochs": 6,
        "training.learning_rate": 0.01,
        "training.lr_schedule.min_lr": 0.001,
        "system.compile_cache": "null",
        "system.num_workers": 0,
    }
    train(load(None, [f"{name}={value}" for name, value in settings.items()]))
    return folder / "model"


@pytest.fixture(scope="module")
def scored(model):
    """The evaluation of each split, made once."""
    return {split: evaluate(model, split=split) for split in (None, "validation", "all")}


def test_the_test_episodes_are_scored_and_no_others(model, scored):
    splits = load_model(model).about["splits"]
    assert list(scored[None].evaluation.predictions.episodes) == splits["test"]
    assert not set(splits["test"]) & {*splits["train"], *splits["validation"]}
    assert scored["validation"].evaluation.predictions.episodes == tuple(splits["validation"])


def test_what_can_be_learnt_was_learnt(scored):
    """The picture shows the action, so the model beats what needs no picture."""
    found = scored["all"].evaluation
    assert found.scores.exact_match > 0.9
    assert found.to_json()["onsets"]["start_recall"] > 0.9
    assert found.scores.exact_match > found.others["copy previous"].exact_match
    assert found.scores.absent == ("never",)


def test_thresholds_are_chosen_on_validation_and_reported_on_test(scored):
    validation = scored["validation"].evaluation.predictions
    chosen = choose(validation.probs[:, 0], validation.truth[:, 0], untuned(np.array([[1, 1, 0]], bool)))
    assert scored[None].evaluation.thresholds == pytest.approx(chosen, abs=1e-6)


def test_metrics_and_page_lie_in_the_models_folder_and_can_be_compared(model, scored, tmp_path):
    page = scored[None].save(tmp_path / "scores", films=False)
    fields = json.loads((tmp_path / "scores" / "metrics.json").read_text(encoding="utf-8"))
    assert fields["split"] == "test"
    assert fields["parameters"] == load_model(model).num_weights > 1000
    assert "30 frames of 1 episode (test)" in page.read_text(encoding="utf-8")
    assert f"{fields['exact_match']:.3f}" in compare([tmp_path / "scores"])


def test_a_model_of_several_actions_is_scored_on_the_same_frames_as_one_of_one(model, scored, tmp_path):
    data = load_model(model).config.dataset.path
    train(tiny.run(data, tmp_path / "model", "model.horizon=3", "training.num_epochs=1"))
    several = evaluate(tmp_path / "model")
    assert several.evaluation.scores.frames == scored[None].evaluation.scores.frames == 30
    several.save(tmp_path / "model", films=False)
    scored[None].save(tmp_path / "one", films=False)
    assert "not comparable" not in compare([tmp_path / "model", tmp_path / "one"])


def test_the_actions_ahead_end_with_their_episode():
    held = np.array([[1], [0], [1], [1]], bool)
    found = ahead(held, np.array([0, 0, 0, 1]), 3)[..., 0]
    assert found.astype(int).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0]]


def test_progress_ends_at_the_number_of_frames(model):
    told: list[tuple[int, int]] = []
    evaluate(model, split="all", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (240, 240)


def test_another_data_set_is_scored_whole_whatever_the_order_of_its_goals(model, scored, tmp_path):
    other = write(tmp_path / "other.zarr", goals=GOALS[::-1])
    assert Dataset.open(other).goals == GOALS[::-1]
    found, own = evaluate(model, other, "all").evaluation, scored["all"].evaluation
    assert found.predictions.probs == pytest.approx(own.predictions.probs, abs=1e-6)


def test_a_goal_the_model_cannot_know_is_named(model, tmp_path):
    with pytest.raises(UserError, match="Climb the stairs"):
        evaluate(model, write(tmp_path / "other.zarr", goals=(*GOALS, "Climb the stairs")))


def test_a_model_of_sentences_is_given_the_words_of_the_data_sets_own_goals(model):
    loaded = load_model(model)
    sentences = replace(loaded, config=replace(loaded.config, model=replace(loaded.config.model, goal="sentence")))
    held = cache.build(Dataset.open(loaded.config.dataset.path))
    batch = next(loader.batches(held, ["episode_1"], loader.LoaderOptions(batch_size=4)))
    batch.goal[0] = -1
    words = goals_for(sentences, ("Say hello", "Climb the stairs"))(batch).goal
    assert words[1].tolist() == word_numbers("Climb the stairs").tolist()
    assert not words[0].any()


def test_goals_of_another_order_keep_their_meaning_and_none_stays_none(model):
    loaded = load_model(model)
    held = cache.build(Dataset.open(loaded.config.dataset.path))
    batch = next(loader.batches(held, ["episode_1"], loader.LoaderOptions(batch_size=4)))
    batch.goal[:] = (0, 1, -1, 0)
    assert goals_for(loaded, GOALS[::-1])(batch).goal.tolist() == [1, 0, -1, 1]


def test_the_majority_is_that_of_the_training_episodes(model, tmp_path):
    """The data set has grown by episodes of nothing but another action."""
    loaded = load_model(model)
    grown = Path(shutil.copytree(loaded.config.dataset.path, tmp_path / "grown.zarr"))
    held = cache.build(Dataset.open(loaded.config.dataset.path))
    common = majority(held.actions[held.rows(loaded.about["splits"]["train"])], 1).argmax()
    writer, rare = Writer(grown, KEYS), np.zeros((30, 3), bool)
    rare[:, 1 - common] = True
    for _ in range(12):
        writer.episode(np.zeros((30, 3, 12, 16), np.uint8), rare, goal=np.zeros(30, np.int32))
    found = evaluate(model, grown, "all").evaluation
    assert found.predictions.truth[:, 0, common].mean() < 0.3
    assert found.others["majority"].exact_match == pytest.approx(found.predictions.truth[:, 0, common].mean())


def test_other_actions_are_refused_by_name(model, tmp_path):
    with pytest.raises(UserError, match=r"left right jump; .* left right never"):
        evaluate(model, write(tmp_path / "other.zarr", keys=("left", "right", "jump")))


def test_other_data_has_no_splits_and_unknown_splits_are_named(model, tmp_path):
    with pytest.raises(UserError, match="not what the model was trained on"):
        evaluate(model, write(tmp_path / "other.zarr", seed=1), split="test")
    found = evaluate(model, tmp_path / "other.zarr")
    assert found.evaluation.about.get("split") == "all"
    assert found.evaluation.about.get("parts") == {}
    assert "trained on" not in found.intro
    with pytest.raises(UserError, match="--split half"):
        evaluate(model, split="half")


def moved(model, folder, without=None):
    """A copy of a model's episodes, all with other numbers, one more in front and perhaps one less."""
    source = write(folder / "source.zarr", episodes=1, seed=1)
    own = Path(load_model(model).config.dataset.path)
    for number in range(8):
        if number != without:
            shutil.copytree(own / f"episode_{number}", source / f"episode_{8 - number}")
    return source


def test_the_episodes_of_training_are_known_where_they_lie_now(model, scored, tmp_path):
    splits = load_model(model).about["splits"]
    data = moved(model, tmp_path)
    found = evaluate(model, data)
    now = {part: {f"episode_{8 - int(name[8:])}" for name in names} for part, names in splits.items()}
    assert found.evaluation.about.get("split") == "test"
    assert set(found.evaluation.predictions.episodes) == now["test"]
    assert found.evaluation.scores == scored[None].evaluation.scores
    assert found.evaluation.others == scored[None].evaluation.others  # the majority is that of the training, too
    validation = evaluate(model, data, "validation").evaluation
    assert set(validation.predictions.episodes) == now["validation"]
    for name, each in (("now", found.evaluation), ("then", scored[None].evaluation), ("others", validation)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(each.to_json()), encoding="utf-8")
    assert "not comparable" not in compare([tmp_path / "now", tmp_path / "then"])
    assert "not comparable" in compare([tmp_path / "now", tmp_path / "others"])


def test_what_the_model_was_trained_on_is_said_on_the_page_and_in_the_table(model, tmp_path, capsys):
    command = [
        "clone",
        "evaluate",
        str(model),
        "--dataset",
        str(moved(model, tmp_path)),
        "--no-films",
        "--split",
        "all",
    ]
    assert cli.run([*command, "--out", str(tmp_path)]) == 0
    out, text = capsys.readouterr().out, (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    splits = load_model(model).about["splits"]
    assert "The model was trained on 6 of them (episode_" in out
    assert "Its weights and thresholds were chosen on 1 of them (episode_" in out
    (line,) = [line for line in out.splitlines() if line.startswith("frames trained on")]
    assert line.split()[3:] == ["180", "-", "-", "-", "-"]
    for part, names in splits.items():
        for name in names:
            assert re.search(f"<td>episode_{8 - int(name[8:])}</td><td>30</td><td>.*%</td><td>{part}</td>", text)
    assert re.search("<td>episode_0</td><td>30</td><td>.*%</td><td>-</td>", text)
    trained = {f"episode_{8 - int(name[8:])}" for name in splits["train"]}
    titles = re.findall(r"<h3>(episode_\d)( \(trained on\))?, ", text)
    assert any(name in trained for name, _ in titles)
    assert all((name in trained) == bool(note) for name, note in titles)


def test_a_copy_without_a_test_episode_says_which_and_what_to_do(model, tmp_path):
    (gone,) = load_model(model).about["splits"]["test"]
    with pytest.raises(UserError, match=rf"{gone} of the test episodes are gone.* --split all"):
        evaluate(model, moved(model, tmp_path, without=int(gone[8:])))


def test_other_episodes_of_the_same_names_at_the_same_place_are_not_taken_for_those_of_training(model, tmp_path):
    own = Path(load_model(model).config.dataset.path)
    own.rename(tmp_path / "away")
    try:
        write(own, seed=2)
        assert evaluate(model).evaluation.about.get("split") == "all"
    finally:
        shutil.rmtree(own)
        (tmp_path / "away").rename(own)


def test_a_model_that_does_not_say_what_its_episodes_hold_knows_them_by_name_in_their_own_place(model):
    loaded = load_model(model)
    old = replace(loaded, about={name: value for name, value in loaded.about.items() if name != "identities"})
    dataset = Dataset.open(loaded.config.dataset.path)
    assert places(old, dataset, own=True) == places(loaded, dataset, own=False)
    assert not any(places(old, dataset, own=False).values())


def test_episodes_that_are_gone_since_training_are_named(model, tmp_path):
    loaded = load_model(model)
    gone = loaded.about["splits"]["test"][0]
    shutil.move(f"{loaded.config.dataset.path}/{gone}", tmp_path / "away")
    try:
        with pytest.raises(UserError, match=f"{gone} of the test episodes are gone"):
            evaluate(model)
    finally:
        shutil.move(tmp_path / "away", f"{loaded.config.dataset.path}/{gone}")


def test_the_command_writes_page_and_metrics_and_prints_the_table(model, tmp_path, capsys):
    assert cli.run(["clone", "evaluate", str(model), "--out", str(tmp_path), "--no-films"]) == 0
    out = capsys.readouterr()
    assert "copy previous" in out.out
    assert "evaluation.html" in out.err
    assert (tmp_path / "evaluation.html").exists()
    assert cli.run(["clone", "compare", str(tmp_path)]) == 0
    assert "exact match" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["evaluate", "compare"])
def test_a_folder_without_a_model_is_one_line_and_exit_code_2(name, tmp_path, capsys):
    assert cli.run(["clone", name, str(tmp_path / "nothing")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_command_plays_and_writes_a_page(tmp_path, capsys):
    page = tmp_path / "page.html"
    assert cli.run(["clone", "rollout", "expert", "--episodes", "1", "--page", str(page)]) == 0
    assert "reached the goal: 100% of 1" in capsys.readouterr().out
    assert "data:video/mp4" in page.read_text(encoding="utf-8")
