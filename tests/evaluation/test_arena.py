"""Playing the arena, scored: small runs of the same code, and the arithmetic of their figures."""

import shutil
from dataclasses import replace

import pytest

from protege import cli
from protege.agent.vision import VisionAgent
from protege.arena.engine import ARENA_MOUSE
from protege.arena.rooms import layout
from protege.arena.tasks import MemoryTask, Task
from protege.core import KEYBOARD_12, NO_KEYS, ActionSpace, Plan, Session
from protege.core.card import ModelCard
from protege.errors import UserError
from protege.evaluation.arena import ArenaBench, best_and_worst, live_figures, run, swap_figures, wilson
from protege.evaluation.episodes import Job, Player, Result, Runner, jobs, play_all, swapped
from protege.evaluation.live import play_live


def quiet(text):
    pass


def test_wilson_intervals_are_those_of_the_books():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_the_expert_wins_random_keys_seldom_do_and_the_page_shows_both(tmp_path):
    page = tmp_path / "arena.html"
    figures = {f.key: f.value for f in run(ArenaBench(Player("expert"), episodes=8, swaps=4, page=page), quiet)}
    assert figures["success"] == 1.0
    assert figures["success_random"] <= 0.5
    assert figures["wrong_object"] == 0.0
    assert figures["goal_following"] >= 0.5
    assert figures["success_ci"][0] == pytest.approx(0.6756, abs=1e-3)
    text = page.read_text()
    assert text.count("<img") > 5
    assert "<polyline" in text
    assert 'src="http' not in text


def test_memory_goals_are_played_by_turns_and_the_expert_reaches_them(tmp_path):
    page = tmp_path / "arena.html"
    figures = run(ArenaBench(Player("expert"), episodes=3, task="memory", baselines=(), page=page), quiet)
    values = {figure.key: figure.value for figure in figures}
    assert [values[f"success_task_{task}"] for task in MemoryTask] == [1.0] * 3
    assert "goal_following" not in values
    assert "Touch both torches" in page.read_text()
    assert [job.goal for job in jobs(10_000, 2, MemoryTask.GO_BACK)] == ["start", "start"]


def test_episodes_are_the_same_in_one_process_and_in_two():
    todo = jobs(10_000, 4, None)
    for model in ("random_held", "expert"):
        assert play_all(Player(model), todo, 1, say=quiet) == play_all(Player(model), todo, 2, say=quiet)


def test_a_swapped_room_is_the_same_room_with_another_object_asked_for():
    made = layout(jobs(10_000, 1, Task.GO_TO, swap=True)[0].seed)
    other = swapped(made)
    assert other.objects == made.objects
    assert other.start == made.start
    assert other.target is not None
    assert made.target is not None
    assert other.target.kind != made.target.kind


class SaysDone:
    """Holds W for a second and then says done, wherever it is."""

    def predict(self, frame, goal):
        return Plan((frozenset("w") if frame.t_ns < 1e9 else NO_KEYS,) * 7)

    def warm_up(self):
        pass


def test_a_policy_that_says_done_too_early_has_given_up():
    runner = Runner(Player("majority"))
    runner.policy = lambda seed: SaysDone()
    results = [runner.play(job) for job in jobs(10_000, 6, Task.GO_TO)]
    runner.close()
    early = [result for result in results if not result.success]
    assert {result.end for result in early} <= {"gave_up", "wrong_object"}
    assert any(result.end == "gave_up" and result.decisions < 30 for result in early)


@pytest.mark.parametrize("decoding", ["auto", "greedy"])
def test_a_model_plays_as_its_player_is_told_to_decode(tiny, tmp_path, decoding):
    folder = shutil.copytree(tiny, tmp_path / "model")
    ModelCard("vision", "tiny", frame_size=(160, 120), done_threshold=0.5).save(folder)
    runner = Runner(Player(str(folder), device="cpu", decoding=decoding))
    policy = runner.policy(0)
    runner.close()
    assert isinstance(policy, VisionAgent)
    assert policy.options.decoding == decoding


def test_plans_that_take_time_are_played_late_and_then_run_out():
    runner = Runner(Player("majority", execute=7, delay=2))
    result = runner.play(Job(10_000))
    runner.close()
    assert result.path[0] == result.path[1]  # nothing is held before the first plan is ready


def a_result(**fields):
    given = Result(1, "barrel", "go_to", True, "success", 20, "barrel", None, ())
    return replace(given, **fields)


def test_goal_following_counts_the_first_object_touched():
    swaps = [a_result(swapped_from="tree"), a_result(swapped_from="tree", first_object="tree", success=False)]
    figures = {f.key: f.value for f in swap_figures([*swaps, a_result(swapped_from="tree", first_object=None)])}
    assert figures["goal_following"] == 0.5
    assert figures["success_swapped"] == pytest.approx(0.6667, abs=1e-3)


def test_live_and_headless_agree_when_their_intervals_overlap():
    won, lost = [a_result()] * 20, [a_result(success=False)] * 20
    assert live_figures(won[:3], won)[0].good
    assert not live_figures(lost, won)[0].good


def test_best_are_the_quickest_and_worst_the_longest():
    results = [a_result(seed=n, decisions=n, success=n % 2 == 0) for n in range(10)]
    best, worst = best_and_worst(results, 2)
    assert [r.seed for r in best] == [0, 2]
    assert [r.seed for r in worst] == [9, 7]


def test_benchmarks_that_make_no_sense_are_refused_in_words():
    for options, words in (
        ({"seed": 5}, "begin at 10000"),
        ({"episodes": 0}, "at least one episode"),
        ({"baselines": ("magic",)}, "no baseline magic"),
        ({"live": 1, "task": "memory"}, "none draws memory"),
    ):
        with pytest.raises(UserError, match=words):
            ArenaBench(**{"player": Player("expert"), **options})


def test_the_arenas_window_is_played_with_real_keys_and_judged_by_its_log(xvfb, tmp_path):
    """From a seed on whose object stands straight ahead: walking forward reaches it."""
    seed = next(job.seed for job in jobs(10_000, 60, Task.GO_TO) if _ahead(job.seed))
    results = play_live(Player("majority"), [seed], quiet, tmp_path)
    assert [result.success for result in results] == [True]
    session = Session.open(next(tmp_path.glob("*/session.json")).parent)
    assert session.spans()[0].goal == layout(seed).goal.sentence


def _ahead(seed):
    runner = Runner(Player("majority"))
    try:
        result = runner.play(Job(seed))
        return result.success and result.decisions < 60
    finally:
        runner.close()


def test_the_expert_and_random_motion_play_with_a_mouse():
    found = [Runner(Player(name, game=ARENA_MOUSE)) for name in ("expert", "random", "majority")]
    try:
        results = [[runner.play(job) for job in jobs(10_000, 3)] for runner in found]
    finally:
        for runner in found:
            runner.close()
    assert [result.success for result in results[0]] == [True] * 3
    assert sum(result.success for result in results[1]) <= 1


def test_a_model_that_looks_with_the_mouse_is_played_with_it(tmp_path):
    ModelCard("vision", "base", ARENA_MOUSE).save(tmp_path)
    assert Player(str(tmp_path)).space == ARENA_MOUSE
    assert Player(str(tmp_path)).vision().space == ARENA_MOUSE
    ModelCard("vision", "base", ActionSpace("MINE", ("w", "none"))).save(tmp_path)
    assert Player(str(tmp_path)).space == KEYBOARD_12


def test_the_command_plays_with_a_mouse(capsys):
    options = ["--model", "expert", "--episodes", "2", "--swaps", "0", "--game", "arena-mouse", "--json"]
    with pytest.raises(SystemExit) as end:
        cli.main(["bench", "arena", *options])
    assert end.value.code == 0
    assert '"success": 1.0' in capsys.readouterr().out
