"""`protege bench vizdoom` as a command."""

import json

from protege import cli


def test_a_scenario_is_scored_from_the_command_line(capsys):
    line = ["bench", "vizdoom", "--model", "random", "--scenario", "basic", "--episodes", "2", "--json"]
    assert cli.run(line) == 0
    found = json.loads(capsys.readouterr().out)
    assert abs(found["reward_gain"] - (found["reward"] - found["reward_random"])) < 0.02


def test_a_scenario_that_is_none_is_named(capsys):
    assert cli.run(["bench", "vizdoom", "--model", "random", "--scenario", "nope"]) == 2
    assert "--scenario nope: expected one of basic, deadly_corridor" in capsys.readouterr().err
