"""The rules: when a goal is reached, and how an episode ends."""

import math

import pytest

from protege.arena.rooms import Pose, layout
from protege.arena.state import ArenaState, End, Judge, reached, tics_of
from protege.arena.tasks import GOALS
from protege.core.actions import NO_KEYS

W = frozenset("w")


def at(made, placed, distance=60.0, turned_deg=0.0):
    """Standing west of an object, looking at it or past it."""
    return ArenaState(made, Pose(placed.x - distance, placed.y, angle_deg=turned_deg % 360))


@pytest.fixture
def lantern():
    return layout(10_000, GOALS["lantern"])


def test_35_tics_are_10_decisions():
    assert sum(tics_of(n) for n in range(10)) == 35


def test_near_and_facing_is_reached(lantern):
    assert reached(at(lantern, lantern.target))
    assert not reached(at(lantern, lantern.target, distance=97))
    assert not reached(at(lantern, lantern.target, turned_deg=50))


def test_walking_past_a_wrong_object_is_counted_but_ends_nothing(lantern):
    judge = Judge(lantern)
    for _ in range(9):
        assert judge.observe(at(lantern, lantern.distractors[0]), W) is None
    assert judge.wrong_object == judge.first_object == lantern.distractors[0].kind.name


def test_stopping_at_a_wrong_object_ends_the_episode(lantern):
    judge = Judge(lantern)
    ends = [judge.observe(at(lantern, lantern.distractors[0]), NO_KEYS) for _ in range(5)]
    assert ends == [None] * 4 + [End.WRONG_OBJECT]
    assert not judge.success


def test_stopping_elsewhere_ends_in_a_timeout(lantern):
    judge = Judge(lantern, max_decisions=20)
    ends = [judge.observe(ArenaState(lantern, lantern.start), NO_KEYS) for _ in range(20)]
    assert ends == [None] * 19 + [End.TIMEOUT]


def test_success_stays(lantern):
    judge = Judge(lantern)
    assert judge.observe(at(lantern, lantern.target), W) is End.SUCCESS
    assert judge.observe(ArenaState(lantern, lantern.start), W) is End.SUCCESS
    assert judge.report()["success"]
    assert judge.report()["first_object"] == "lantern"


def test_a_door_counts_when_it_is_half_open():
    made = layout(10_000, GOALS["door"])
    assert not reached(ArenaState(made, made.start, door_gap=60))
    assert reached(ArenaState(made, made.start, door_gap=64))


def test_stairs_count_at_the_top():
    made = layout(10_000, GOALS["stairs"])
    assert not reached(ArenaState(made, Pose(0, 0, z=64)))
    assert reached(ArenaState(made, Pose(0, 0, z=80)))


def test_posters_count_when_they_are_looked_at_from_near():
    made = layout(10_000, GOALS["posters"])
    assert made.posters is not None
    x, y = made.posters.front(100)
    dx, dy = made.posters.inward
    ahead = math.degrees(math.atan2(-dy, -dx))
    assert reached(ArenaState(made, Pose(x, y, angle_deg=ahead)))
    assert not reached(ArenaState(made, Pose(x, y, angle_deg=ahead + 40)))
    far_x, far_y = made.posters.front(180)
    assert not reached(ArenaState(made, Pose(far_x, far_y, angle_deg=ahead)))
