"""ViZDoom's scenarios, scored, their scripted players, and `protege bench vizdoom` as a command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from protege import cli
from protege.arena.leash import _process_naming
from protege.errors import UserError
from protege.evaluation import vizdoom
from protege.evaluation.vizdoom_play import player_act, rewards
from protege.evaluation.vizdoom_players import PLAYERS, Scene, Thing, require_player, turn
from protege.evaluation.vizdoom_record import game
from tests.devices.hands import until


def test_public_scenarios_are_scored_by_their_rewards():
    figures = {f.key: f.value for f in vizdoom.run(vizdoom.VizdoomBench("random", "basic", episodes=3))}
    assert figures.keys() == {"reward", "reward_random", "reward_majority", "reward_gain"}
    assert -500 < figures["reward"] <= 101
    with pytest.raises(UserError, match="deadly_corridor"):
        vizdoom.VizdoomBench("random", "no_such_scenario")


@pytest.mark.parametrize(
    ("scenario", "least"), [("basic", 40), ("deadly_corridor", 500), ("defend_the_center", 5), ("my_way_home", 0.8)]
)
def test_a_scripted_player_is_far_better_than_random_keys(scenario, least):
    with game(scenario, truth=True) as played:
        assert sum(rewards(played, player_act(PLAYERS[scenario]), 2, seed=3)) / 2 > least


def test_the_player_of_health_gathering_lives_on():
    with game("health_gathering", truth=True) as played:
        played.new(0)
        held = set()
        for _ in range(300):  # whoever stands still is dead after 280
            action = PLAYERS["health_gathering"](Scene(played.engine))
            assert len(action) == 1  # so that a plan of one key a slot can say it
            held |= action
            played.press(action)
        assert not played.over
        assert held <= set(played.keys) == {"left", "right", "w"}


def test_what_is_to_the_right_is_turned_to_by_the_right_key():
    with game("basic", truth=True) as played:
        played.new(0)
        scene = Scene(played.engine)
        ahead = scene.thing(scene.x + 100, scene.y)  # everybody begins looking along x
        right = scene.thing(scene.x + 100, scene.y - 100)
    assert (ahead.bearing, ahead.distance) == pytest.approx((0, 100))
    assert right.bearing == pytest.approx(45)
    assert turn(right.bearing) == {"right"}
    assert Thing(0, 20).half_deg == pytest.approx(45)


def test_a_scenario_without_a_scripted_player_is_named():
    with pytest.raises(UserError, match="--scenario take_cover: a scripted player is there for basic, deadly"):
        require_player("take_cover")
    with pytest.raises(UserError, match="take_cover"):
        vizdoom.VizdoomBench("cloned", "take_cover")


def test_rewards_go_on_where_they_were_and_are_kept_one_by_one():
    kept = []
    with game("basic", truth=True) as played:
        act = player_act(PLAYERS["basic"])
        whole = rewards(played, act, 3, seed=0)
        assert rewards(played, act, 3, seed=0, before=whole[:1], keep=lambda found: kept.append(list(found))) == whole
    assert kept == [whole[:2], whole]


def test_a_scenario_is_scored_from_the_command_line(capsys):
    line = ["bench", "vizdoom", "--model", "random", "--scenario", "basic", "--episodes", "2", "--json"]
    assert cli.run([*line, "--decoding", "greedy"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert abs(found["reward_gain"] - (found["reward"] - found["reward_random"])) < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "random", "--scenario", "nope"], "--scenario nope: expected one of basic, deadly_corridor"),
        ([], "give --model MODEL, or --all"),
        (["--all", "--model", "random"], "--model random: --all plays five scenarios"),
        (["--all", "--policies", "pixels,cnn"], "--policies pixels,cnn: expected pixels, vlm or pixels,vlm"),
        (["--model", "random", "--policies", "vlm"], "--policies vlm: without --all there is one model"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message, capsys):
    assert cli.run(["bench", "vizdoom", *options]) == 2
    assert message in capsys.readouterr().err


KILLED = """
import sys, time
from protege.evaluation.vizdoom_game import ScenarioGame
with ScenarioGame("basic") as game:
    print(game._folder.name, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the leash finds the engine in /proc")
def test_kill_9_leaves_no_engine():
    player = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    assert player.stdout is not None
    with player.stdout:
        folder = Path(player.stdout.readline().strip())
    assert _process_naming(folder) is not None
    player.kill()
    player.wait()
    until(lambda: _process_naming(folder) is None)
    until(lambda: not folder.exists())
