"""Layouts: the same everywhere, never without distractors, and always with a goal that can be reached."""

import itertools
import math
import subprocess
import sys

import pytest

from protege.arena.maps import cells, layout_textmap, posters_png
from protege.arena.rooms import BASE_SEEDS, EVAL_SEED_START, USER_SEEDS, Feature, Pose, Room, layout
from protege.arena.tasks import GOALS, Task

SEEDS = range(EVAL_SEED_START, EVAL_SEED_START + 150)


@pytest.fixture(scope="module")
def layouts():
    return [layout(seed) for seed in SEEDS]


def test_the_same_seed_is_the_same_layout_in_another_process():
    show = "from protege.arena.rooms import layout; print([layout(s) for s in (0, 7, 10_000)])"
    command = [sys.executable, "-c", show]
    there = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "5"}).stdout
    assert there.strip() == str([layout(seed) for seed in (0, 7, 10_000)])


def test_seeds_for_training_and_evaluation_do_not_meet():
    assert BASE_SEEDS.stop == USER_SEEDS.start
    assert USER_SEEDS.stop == EVAL_SEED_START == 10_000


def test_seeds_differ(layouts):
    assert len({(made.start, made.objects) for made in layouts}) == len(layouts)
    assert {made.goal.task for made in layouts} == set(Task)
    assert len({made.style.wall for made in layouts}) > 10


def test_a_go_to_goal_always_has_distractors(layouts):
    for made in layouts:
        assert 2 <= len(made.distractors) <= 4
        assert len({placed.kind for placed in made.objects}) == len(made.objects)
        assert (made.target is not None) == (made.goal.task is Task.GO_TO)


def test_torches_and_pillars_mostly_stand_beside_one_of_another_colour():
    for name, alike in (("red torch", "torch"), ("blue pillar", "pillar")):
        made = [layout(seed, GOALS[name]) for seed in SEEDS]
        beside = sum(any(d.kind.alike == alike for d in one.distractors) for one in made)
        assert beside > 0.75 * len(made)


def test_some_goals_are_in_the_second_room(layouts):
    behind = [made for made in layouts if made.target and not made.rooms[0].holds(made.aim)]
    assert behind
    assert all(len(made.rooms) == 2 for made in behind)


@pytest.mark.parametrize("goal", GOALS.values(), ids=lambda goal: goal.name)
def test_a_goal_can_be_asked_for(goal):
    made = layout(10_001, goal)
    assert made.goal is goal
    assert made == layout(10_001, goal)
    assert made.start.distance(made.aim) >= 200


def test_objects_stand_apart_and_inside(layouts):
    for made in layouts:
        assert made.rooms[0].holds((made.start.x, made.start.y), 90)
        for a, b in itertools.combinations(made.objects, 2):
            assert math.dist(a.at, b.at) >= 130
        assert all(any(room.holds(placed.at, 60) for room in made.rooms) for placed in made.objects)


def test_rooms_do_not_overlap_and_features_stand_in_free_walls(layouts):
    for made in layouts:
        features = [f for f in (made.opening, made.door, made.stairs, made.posters) if f]
        assert len({feature.side for feature in features}) == len(features)
        if len(made.rooms) == 2:
            a, b = made.rooms
            assert made.opening is not None
            assert not any(a.holds(((c + 0.5) * 32, (r + 0.5) * 32)) for c, r in cells(made) if _in(b, c, r))


def _in(room, col, row):
    return room.col <= col < room.col + room.cols and room.row <= row < room.row + room.rows


def test_a_door_is_the_first_sector():
    made = layout(10_001, GOALS["door"])
    assert next(iter(cells(made).values())).door
    assert made.style.door in layout_textmap(made).decode()


def test_bearing_is_positive_to_the_left():
    assert Pose(0, 0, angle_deg=90).bearing((-10, 10)) == pytest.approx(45)
    assert Pose(0, 0, angle_deg=350).bearing((10, 0)) == pytest.approx(10)


def test_a_feature_knows_its_front():
    north = Feature("n", 4, 4, Room(0, 0, 16, 10))
    assert north.center == (192, 320)
    assert north.front(100) == (192, 220)
    assert north.incidence_deg((192, 100)) == pytest.approx(0)
    assert north.incidence_deg((292, 220)) == pytest.approx(45)
    assert north.incidence_deg((192, 400)) > 90
    assert north.facing_deg(90) == pytest.approx(0)


def test_the_posters_are_a_png():
    from io import BytesIO

    from PIL import Image

    picture = Image.open(BytesIO(posters_png()))
    assert picture.size == (128, 128)
    assert len(set(picture.convert("RGB").get_flattened_data())) > 6
