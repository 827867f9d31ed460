"""Roll-outs: what a policy does in the arena, beside what the expert would do."""

import numpy as np
import pytest

from protege import cli
from protege.arena.engine import ARENA_MOUSE
from protege.arena.rooms import layout
from protege.arena.tasks import Task
from protege.cloning.pages import chosen
from protege.cloning.train import train
from protege.cloning.writer import Writer
from protege.core import KEYBOARD_12
from protege.errors import UserError
from protege.evaluation import rollout as clone_rollout
from protege.evaluation.episodes import Job, Player, Runner, jobs
from protege.evaluation.rollout import SHOWN, _Episode, _keep, compared, play, to_json, write_page
from tests.cloning import tiny
from tests.cloning.stores import actions, frames


@pytest.fixture(scope="module")
def expert():
    return play(Player("expert"), 2)


def test_the_expert_agrees_with_itself_and_reaches_every_goal(expert):
    assert to_json(expert)["success"] == 1.0
    assert compared(expert).scores.exact_match == 1.0
    assert len(expert.pictures) == len(expert.held) == len(expert.episode)
    assert list(np.bincount(expert.episode)) == [result.decisions for result in expert.results]


def test_another_policy_is_told_from_the_expert():
    found = compared(play(Player("majority"), 1))
    assert set(found.predictions.keys) >= {"w", "right"}  # what it held, and what the expert would have
    assert found.scores.actions["right"].recall == 0.0
    assert found.scores.exact_match < 1


def test_watching_changes_nothing_about_an_episode(expert):
    runner = Runner(Player("expert"))
    try:
        assert runner.play(Job(expert.results[0].seed)) == expert.results[0]
    finally:
        runner.close()


def test_the_page_shows_each_episode_with_its_end(expert, tmp_path):
    write_page(expert, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    for result in expert.results:
        assert f"seed {result.seed}, Go to" in text
    assert text.count("data:video/mp4") == 2
    assert "Reached the goal: 100% of 2" in text


def test_pictures_are_those_of_their_episode(expert):
    first = expert.results[0].decisions
    again = play(Player("expert"), 1, expert.results[1].seed, Task.GO_TO)
    assert np.array_equal(again.pictures, expert.pictures[first:])


def episodes(*shares):
    """Of ten decisions each, so many tenths of them as the expert's."""
    held = [[frozenset("w" if n < share else "s") for n in range(10)] for share in shares]
    return [_Episode(number, keys, [frozenset("w")] * 10, ()) for number, keys in enumerate(held)]


def test_only_the_best_the_worst_and_one_between_are_kept():
    kept: list[_Episode] = []
    for each in episodes(9, 4, 3, 8, 2, 6):
        kept = _keep([*kept, each])
        assert len(kept) <= SHOWN
    assert [each.share for each in kept] == [0.9, 0.6, 0.2]


def test_pictures_of_what_is_not_shown_are_not_kept(expert, tmp_path, monkeypatch):
    monkeypatch.setattr(clone_rollout, "SHOWN", 2)
    found = play(Player("expert"), 3)
    assert found.filmed == (0, 2)
    lengths = np.bincount(found.episode)
    assert len(found.pictures) == lengths[0] + lengths[2]
    rows = compared(found).predictions.rows
    assert list(rows) == [*range(lengths[0]), *[-1] * lengths[1], *range(lengths[0], lengths[0] + lengths[2])]
    assert np.array_equal(found.pictures[: lengths[0]], expert.pictures[: lengths[0]])
    assert list(chosen(compared(found))) == [0, 2]
    write_page(found, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("data:video/mp4") == 2
    for result in found.results:
        assert f"<td>seed {result.seed}, " in text


ROOMS = [(job.seed, layout(job.seed).goal.sentence) for job in jobs(10_000, 3, Task.GO_TO)]


@pytest.fixture(scope="module")
def one_goal(tmp_path_factory):
    """The folder of a model that knows only the first room's goal."""
    folder = tmp_path_factory.mktemp("index")
    writer = Writer(folder / "d.zarr", KEYBOARD_12.pressable)
    for number in range(4):
        goal = np.full(9, writer.goal(ROOMS[0][1]), np.int32)
        writer.episode(frames(9, number, (24, 16)), actions(9, number, len(writer.keys)), goal=goal)
    train(tiny.run(folder / "d.zarr", folder / "model", "training.max_steps=1", "model.goal=index"))
    return folder / "model"


def test_rooms_whose_goal_the_model_does_not_know_are_left_out_by_name(one_goal, tmp_path, capsys):
    known = [seed for seed, goal in ROOMS if goal == ROOMS[0][1]]
    assert 0 < len(known) < len(ROOMS)
    page = tmp_path / "page.html"
    assert cli.run(["clone", "rollout", str(one_goal), "--episodes", "3", "--page", str(page)]) == 0
    out, text = capsys.readouterr().out, page.read_text(encoding="utf-8")
    assert f"of {len(known)}" in out
    for seed, goal in ROOMS:
        left_out = f"seed {seed} left out: the model was not trained on the goal {goal!r}"
        assert (left_out in out) == (seed not in known)
        assert (f"seed {seed} ({goal})" in text) == (seed not in known)


def test_a_task_of_which_the_model_knows_no_goal_is_refused_before_anything_is_played(one_goal, tmp_path, capsys):
    page = tmp_path / "page.html"
    command = ["clone", "rollout", str(one_goal), "--episodes", "2", "--task", "open_door", "--page", str(page)]
    assert cli.run(command) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("protege")]
    assert len(lines) == 1
    assert "none of the 2 rooms has a goal that the model was trained on" in lines[0]
    assert not page.exists()


def test_rooms_that_are_for_training_are_refused():
    with pytest.raises(UserError, match="--seed 5000"):
        play(Player("expert"), 1, 5000)


def test_a_rollout_with_a_mouse_compares_its_keys():
    found = play(Player("expert", game=ARENA_MOUSE), 1)
    assert found.space == ARENA_MOUSE
    assert compared(found).scores.exact_match == 1.0
    assert any(action - frozenset(ARENA_MOUSE.pressable) for action in found.held)
