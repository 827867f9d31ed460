"""ViZDoom's scenarios, scored, and `protege bench vizdoom` as a command."""

import json

import pytest

from protege import cli
from protege.errors import UserError
from protege.evaluation import vizdoom


def test_public_scenarios_are_scored_by_their_rewards():
    figures = {f.key: f.value for f in vizdoom.run(vizdoom.VizdoomBench("random", "basic", episodes=3))}
    assert figures.keys() == {"reward", "reward_random", "reward_majority", "reward_gain"}
    assert -500 < figures["reward"] <= 101
    with pytest.raises(UserError, match="deadly_corridor"):
        vizdoom.VizdoomBench("random", "no_such_scenario")


def test_a_scenario_is_scored_from_the_command_line(capsys):
    line = ["bench", "vizdoom", "--model", "random", "--scenario", "basic", "--episodes", "2", "--json"]
    assert cli.run(line) == 0
    found = json.loads(capsys.readouterr().out)
    assert abs(found["reward_gain"] - (found["reward"] - found["reward_random"])) < 0.02


def test_a_scenario_that_is_none_is_named(capsys):
    assert cli.run(["bench", "vizdoom", "--model", "random", "--scenario", "nope"]) == 2
    assert "--scenario nope: expected one of basic, deadly_corridor" in capsys.readouterr().err
