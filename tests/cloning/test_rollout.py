"""Roll-outs: what a policy does in the arena, beside what the expert would do."""

import numpy as np
import pytest

from protege.arena.tasks import Task
from protege.bench.arena_episodes import Job, Player, Runner
from protege.bench.clone_rollout import compared, play, to_json, write_page
from protege.errors import UserError


@pytest.fixture(scope="module")
def expert():
    return play(Player("expert"), 2)


def test_the_expert_agrees_with_itself_and_reaches_every_goal(expert):
    assert to_json(expert)["success"] == 1.0
    assert compared(expert).scores.exact_match == 1.0
    assert len(expert.pictures) == len(expert.held) == sum(result.decisions for result in expert.results)


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


def test_rooms_that_are_for_training_are_refused():
    with pytest.raises(UserError, match="--seed 5000"):
        play(Player("expert"), 1, 5000)
