"""The live loop with a fake clock: what is held when, what is dropped, and what lets go of the keys."""

from itertools import pairwise

import numpy as np
import pytest

from protege.agent.goals import GoalList
from protege.agent.listener import Listener
from protege.agent.loop import Ending, LoopOptions, play
from protege.agent.sequence import replay
from protege.agent.stats import LoopStats
from protege.core import NO_KEYS, Plan, Session, SessionInfo, SessionWriter
from protege.core.events import Held, Key, Pause
from protege.core.frame import encode_jpeg
from protege.devices.errors import WindowGone
from protege.errors import ProtegeError, UserError
from tests.agent.fakes import DONE, LEFT, W_LEFT, InstantWorker, Setting, W

GO = ["Go to the lantern"]


class Ear(Listener):
    """Writes down what it hears; `at` runs something when a slot begins."""

    def __init__(self, at=None):
        self.at = at or {}
        self.slots = []
        self.said = []

    def slot(self, slot):
        self.slots.append(slot)
        self.at.get(slot.number, lambda: None)()

    def goal(self, t_ns, goal):
        self.said.append(("goal", goal))

    def goal_ended(self, t_ns, goal, how):
        self.said.append((how, goal))

    def control(self, t_ns, by):
        self.said.append(("by", by))

    def human_key(self, t_ns, key, down):
        self.said.append((key, down))


def run(setting, goals=GO, at=None, **options):
    ear, stats = Ear(at), LoopStats()
    options = {"max_s": 2.0, **options}
    ending = play(setting.world, setting.worker, GoalList(goals), LoopOptions(**options), [ear], stats)
    assert setting.keys.held == NO_KEYS
    assert setting.keys.released == 1
    return ending, ear, stats


def test_a_plan_is_played_slot_by_slot_on_deadlines_without_releasing_between_equal_neighbours():
    setting = Setting((W, W, W_LEFT, LEFT, NO_KEYS, W, W))
    _, _, stats = run(setting, execute=7, max_s=0.85)
    # the picture taken 92 ms after the start is the one for slot 1, due at 100 ms
    assert setting.keys.log[:5] == [
        (100, "w", True),
        (300, "left", True),
        (400, "w", False),
        (500, "left", False),
        (600, "w", True),
    ]
    assert (stats.late_plans, stats.empty_slots) == (0, 0)


def test_pictures_are_taken_just_before_the_deadline_they_are_for():
    setting = Setting((W,) * 7, latency_ms=30)
    run(setting, max_s=1.0)
    asked = [ms for ms, _ in setting.policy.asked]
    assert asked[0] == 92  # nothing is known yet about how long a prediction takes
    assert asked[2:5] == [ms - 30 - 8 for ms in (300, 400, 500)]


@pytest.mark.parametrize("execute", range(1, 8))
def test_execute_says_how_many_slots_pass_before_the_next_thought(execute):
    setting = Setting((W,) * 7)
    run(setting, execute=execute, max_s=3.0)
    asked = [round(ms / 100) for ms, _ in setting.policy.asked]
    assert {b - a for a, b in pairwise(asked)} == {execute}
    assert setting.keys.log[0] == (100, "w", True)
    assert len(setting.keys.log) == 2  # held from the first slot to the end: a plan never runs out before the next


def test_slots_that_have_passed_are_dropped():
    keys = [frozenset(key) for key in "wsadc"] + [frozenset(("up",)), frozenset(("down",))]
    setting = Setting(keys, latency_ms=260)
    _, ear, stats = run(setting, max_s=1.5)
    played = [slot.step for slot in ear.slots if slot.prediction is not None and not slot.waiting]
    assert min(played) == 3  # 268 ms after its picture a plan's fourth step is the one for now
    assert stats.dropped_slots == 3 * stats.decisions
    assert stats.late_plans == 0
    for slot in ear.slots:
        if slot.action:
            assert slot.action == keys[slot.step]


def test_a_late_plan_means_the_rest_of_the_old_one_and_then_nothing():
    setting = Setting((W,) * 7)
    slow = setting.worker

    def stall():
        slow.latency_ns = 10**9

    _, ear, stats = run(setting, at={3: stall}, max_s=3.0)
    held = [bool(slot.action) for slot in ear.slots]
    assert held[1:10] == [True] * 9
    assert held[11:14] == [False] * 3
    assert stats.late_plans >= 1
    assert stats.empty_slots >= 3


def test_a_plan_that_comes_after_the_old_one_has_run_out_is_late():
    setting = Setting((W,) * 7)
    _, ear, stats = run(setting, execute=7, at={6: lambda: setattr(setting.worker, "latency_ns", 300_000_000)})
    held = [bool(slot.action) for slot in ear.slots]
    assert held[1:12] == [True] * 7 + [False] * 3 + [True]
    assert stats.late_plans == 1
    assert stats.empty_slots == 3


def test_what_was_thought_before_a_takeover_does_not_count_after_it():
    setting = Setting((W,) * 7, latency_ms=300, human=[(720, "left", True), (800, "toggle", True)])
    _, ear, _ = run(setting)
    after = [slot.prediction.t_ns for slot in ear.slots if slot.t_ns > 800e6 and slot.prediction is not None]
    assert after
    assert min(after) > 800e6


def test_a_policy_slower_than_its_plans_are_long_presses_nothing_and_counts_late_plans():
    setting = Setting((W,) * 7, latency_ms=900)
    _, _, stats = run(setting, max_s=5.0)
    assert setting.keys.log == []
    assert stats.late_plans == stats.decisions >= 4


def test_the_goal_is_reached_when_a_plan_is_done_twice_in_a_row():
    setting = Setting((W,) * 7, DONE, (LEFT,) * 7, DONE, DONE)
    ending, ear, _ = run(setting)
    assert ending is Ending.REACHED
    assert ear.said[-1] == ("success", GO[0])
    assert len(setting.policy.asked) == 5


def test_goals_follow_one_another_and_every_thought_is_for_its_own():
    setting = Setting((W,) * 7, DONE, DONE, (LEFT,) * 7, DONE)
    ending, ear, _ = run(setting, goals=["first", "second"], max_s=10.0)
    assert ending is Ending.REACHED
    assert [said for said in ear.said if said[0] != "by"] == [
        ("goal", "first"),
        ("success", "first"),
        ("goal", "second"),
        ("success", "second"),
    ]
    assert [goal for _, goal in setting.policy.asked] == ["first"] * 3 + ["second"] * 3


def test_a_goal_changes_while_it_plays_and_old_thoughts_no_longer_count():
    setting = Setting((W,) * 7)
    goals = GoalList(["old"])
    typed = ["new"]
    asked = goals.asked
    goals.asked = lambda: typed.pop() if typed and setting.clock.now_ns() > 0.55e9 else asked()
    ear = Ear()
    play(setting.world, setting.worker, goals, LoopOptions(max_s=1.5), [ear])
    assert ("changed", "old") in ear.said
    for slot in ear.slots:
        assert slot.prediction is None or slot.prediction.goal == slot.goal
    assert {goal for _, goal in setting.policy.asked} == {"old", "new"}


def test_a_persons_key_takes_over_within_a_slot_and_the_hot_key_hands_back():
    human = [(520, "left", True), (700, "left", False), (1210, "toggle", True)]
    setting = Setting((W,) * 7, human=human)
    _, ear, _ = run(setting, max_s=2.0)
    log = setting.keys.log
    assert log[0] == (100, "w", True)
    assert log[1][1:] == ("w", False)
    assert 520 <= log[1][0] <= 620
    assert log[2][1:] == ("w", True)
    assert 1210 < log[2][0] <= 1410
    assert [said for said in ear.said if said[0] in ("by", "left")] == [
        ("by", "agent"), ("by", "human"), ("left", True), ("left", False), ("by", "agent"),
    ]  # fmt: skip


def test_the_hot_key_takes_over_too():
    setting = Setting((W,) * 7, human=[(520, "toggle", True)])
    _, ear, _ = run(setting, max_s=1.5)
    assert ("by", "human") in ear.said
    assert [key for key in setting.keys.log if key[0] > 620] == []


def test_the_stop_key_ends_the_run_within_a_slot():
    setting = Setting((W,) * 7, human=[(520, "stop", True)])
    ending, _, _ = run(setting, max_s=60)
    assert ending is Ending.STOPPED
    assert setting.keys.log[-1][0] <= 620


def test_the_longest_duration_ends_the_run():
    ending, ear, _ = run(Setting((W,) * 7), max_s=1.05)
    assert ending is Ending.TIME
    assert ear.said[-1] == ("time is up", GO[0])


def test_a_lost_focus_releases_within_a_slot_and_a_new_plan_is_made_when_it_is_back():
    setting = Setting((W,) * 7, human=[(700, "a", True)])  # typed elsewhere: no takeover
    window = setting.window
    _, ear, _ = run(
        setting,
        at={4: lambda: setattr(window, "focused", False), 9: lambda: setattr(window, "focused", True)},
        max_s=2.0,
    )
    log = setting.keys.log
    assert log[1][1:] == ("w", False)
    assert 400 < log[1][0] <= 500
    assert log[2][0] >= 1000
    assert not [ms for ms in setting.screen.times if 500 <= ms < 900]
    assert ("by", "human") not in ear.said
    first = next(slot for slot in ear.slots if slot.number > 9 and slot.prediction is not None).prediction
    assert first.t_ns > 0.9e9


def test_a_closed_window_releases_everything_and_says_so():
    setting = Setting((W,) * 7)
    with pytest.raises(WindowGone, match="closed"):
        run(setting, at={4: lambda: setattr(setting.window, "open", False)})
    assert setting.keys.held == NO_KEYS
    assert setting.keys.released == 1


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_an_exception_in_the_policy_releases_everything(error):
    setting = Setting((W,) * 7, (W,) * 7, error)
    worker = InstantWorker(setting.policy, setting.clock)
    with pytest.raises(type(error)):
        play(setting.world, worker, GoalList(GO), LoopOptions())
    assert setting.keys.held == NO_KEYS
    assert setting.keys.log[0][1:] == ("w", True)
    assert setting.keys.released == 1


def test_a_lost_watchdog_ends_the_run():
    setting = Setting((W,) * 7)
    lost = []
    from dataclasses import replace

    setting.world = replace(setting.world, lost=lambda: lost[0] if lost else None)
    with pytest.raises(ProtegeError, match="the watchdog has ended"):
        run(setting, at={4: lambda: lost.append("the watchdog has ended")})
    assert setting.keys.held == NO_KEYS


def test_slots_that_a_stalled_machine_missed_are_skipped_not_caught_up():
    setting = Setting((W,) * 7)
    _, ear, stats = run(setting, at={3: lambda: setting.clock.advance(0.55)}, max_s=2.0)
    assert stats.skipped_slots >= 4
    assert all(slot.t_ns - slot.deadline_ns < 100e6 for slot in ear.slots)


def test_options_that_make_no_sense_are_refused_in_words():
    for options in ({"execute": 0}, {"execute": 8}, {"max_s": 0}):
        with pytest.raises(UserError, match="expected"):
            LoopOptions(**options)


@pytest.mark.parametrize("steps", [2, 70])
def test_a_plan_of_another_length_ends_the_run_in_words(steps):
    setting = Setting(Plan((W,) * steps))
    with pytest.raises(ProtegeError, match=f"plan has {steps} steps, expected 7"):
        run(setting, max_s=1.5)
    assert setting.keys.held == NO_KEYS


def test_a_replay_presses_at_the_recordings_own_times_without_its_pauses(tmp_path):
    writer = SessionWriter.create(tmp_path, SessionInfo(), "s")
    for event in (
        Held(0, W), Key(130_000_000, "left", True), Key(370_000_000, "w", False), Pause(500_000_000, "toggle"),
        Held(9_000_000_000, LEFT), Key(9_210_000_000, "left", False),
    ):  # fmt: skip
        writer.event(event)
    writer.frame(0, encode_jpeg(np.zeros((480, 640, 3), np.uint8)))
    writer.finish()
    setting = Setting((W,) * 7)
    assert replay(Session.open(tmp_path / "s"), setting.world, 60) is Ending.REPLAYED
    assert setting.keys.log == [
        (0, "w", True), (130, "left", True), (370, "w", False), (500, "left", False), (500, "left", True),
        (710, "left", False),
    ]  # fmt: skip
    assert setting.keys.released == 1
