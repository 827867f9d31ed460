"""The goals that need memory: what one picture cannot tell, the rules, and an expert that remembers."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from protege.arena.engine import Engine
from protege.arena.expert import Expert
from protege.arena.maps import cells, layout_textmap
from protege.arena.rooms import EVAL_SEED_START, Pose, layout
from protege.arena.state import ArenaState, End, Judge, tics_of
from protege.arena.tasks import GOALS, MEMORY_GOALS, find_goal, memory_goal
from protege.core.actions import NO_KEYS

SEEDS = range(EVAL_SEED_START, EVAL_SEED_START + 12)
TORCHES, BACK, DOOR = MEMORY_GOALS.values()
MIDDLE = Pose(0, 96, angle_deg=90)


@pytest.fixture(scope="module")
def engine():
    with Engine((160, 120)) as made:
        yield made


def play(engine, made, act):
    """One episode: every state, and its judge."""
    state, judge, states = engine.load(made), Judge(made), []
    while judge.end is None:
        states.append(state)
        action = act(state)
        state = engine.step(action, tics_of(judge.decisions))
        judge.observe(state, action)
    return states, judge


def in_the_middle(pose):
    return dataclasses.astuple(pose) == pytest.approx(dataclasses.astuple(MIDDLE), abs=1e-6)


def onto_the_turntable(engine, made):
    """Play as the expert until the turntable has turned the player, and wait until it lets go of him; his state, and
    the picture then.
    """
    expert, state, decision = Expert(), engine.load(made), 0
    while decision < 60 and not in_the_middle(state.pose):
        state = engine.step(expert.act(state), tics_of(decision))
        decision += 1
    for _ in range(8):
        state = engine.step(NO_KEYS, 4)
    return state, engine.picture()


@pytest.mark.parametrize("goal", MEMORY_GOALS.values(), ids=lambda goal: goal.name)
def test_the_expert_reaches_every_goal_and_with_slips_most(engine, goal):
    ends = [play(engine, layout(seed, goal), Expert().act)[1].end for seed in SEEDS]
    assert ends == [End.SUCCESS] * len(SEEDS)
    slips = [play(engine, layout(seed, goal), Expert(0.05, seed).act)[1].success for seed in SEEDS]
    assert sum(slips) >= 9


@pytest.mark.parametrize("goal", [BACK, DOOR], ids=lambda goal: goal.name)
def test_where_the_way_is_chosen_both_beginnings_look_the_same_to_the_pixel(engine, goal):
    made = layout(EVAL_SEED_START, goal)
    west, _, east, _ = made.rooms[0].rect
    start = replace(made.start, x=west + east - made.start.x, angle_deg=180 - made.start.angle_deg)
    if goal is BACK:
        other = next(p for p in made.objects if p.kind == made.legs[1].kind and p != made.legs[1])
        mirrored = replace(made, start=start, legs=(made.legs[0], other))
    else:
        mirrored = replace(made, start=start, door=made.entrance, entrance=made.door)
    (here, seen), (there, seen_there) = (onto_the_turntable(engine, each) for each in (made, mirrored))
    assert here.pose == there.pose
    assert in_the_middle(here.pose)
    assert np.array_equal(seen, seen_there)


def test_with_one_torch_touched_a_player_stands_where_he_began(engine):
    made = layout(EVAL_SEED_START, TORCHES)
    states, judge = play(engine, made, Expert().act)
    assert made.start == MIDDLE
    assert in_the_middle(states[0].pose)
    assert any(in_the_middle(state.pose) for state in states[30:])
    assert judge.success


def test_both_ends_are_as_far_from_the_middle_and_look_alike():
    for seed in SEEDS:
        for goal in (TORCHES, BACK):
            made = layout(seed, goal)
            first, second = (p for p in made.objects if p.kind == made.legs[-1].kind)
            assert first.kind == second.kind
            assert MIDDLE.distance(first.at) == MIDDLE.distance(second.at)
        made = layout(seed, DOOR)
        assert made.door
        assert made.entrance
        assert MIDDLE.distance(made.door.center) == MIDDLE.distance(made.entrance.center)


def test_half_begin_at_either_end():
    for goal in (BACK, DOOR):
        west = sum(layout(seed, goal).start.x < 0 for seed in range(200))
        assert 70 < west < 130


def test_two_doors_are_two_sectors_and_the_asked_one_is_the_first():
    made = layout(EVAL_SEED_START, DOOR)
    first, second = list(dict.fromkeys(cells(made).values()))[:2]
    assert first.door == second.door == made.style.door
    assert first != second


def test_to_touch_a_torch_again_after_leaving_it_ends_the_episode():
    made = layout(EVAL_SEED_START, TORCHES)
    judge, torch = Judge(made), made.legs[0]
    at = ArenaState(made, Pose(torch.x - 60, torch.y))
    assert judge.observe(at, NO_KEYS) is None
    assert judge.observe(replace(at, pose=Pose(torch.x - 60, torch.y, angle_deg=90)), NO_KEYS) is None
    assert judge.observe(at, NO_KEYS) is None  # it only looked aside
    assert judge.observe(ArenaState(made, MIDDLE), NO_KEYS) is None
    assert judge.observe(at, NO_KEYS) is End.WRONG_OBJECT


def test_the_torches_may_be_touched_in_either_order():
    made = layout(EVAL_SEED_START, TORCHES)
    east, west = made.legs
    judge = Judge(made)
    assert judge.observe(ArenaState(made, Pose(west.x + 60, west.y, angle_deg=180)), NO_KEYS) is None
    assert judge.observe(ArenaState(made, Pose(east.x - 60, east.y)), NO_KEYS) is End.SUCCESS


def test_back_at_the_start_counts_once_the_mark_was_touched_and_the_other_end_ends_it():
    made = layout(EVAL_SEED_START, BACK)
    _, home = made.legs
    other = next(p for p in made.objects if p.kind == home.kind and p != home)
    facing = {placed.tid: Pose(placed.x - 60, placed.y) for placed in (home, other)}
    for touched, place, end in ((False, home, None), (False, other, None), (True, home, End.SUCCESS)):
        judge = Judge(made)
        if touched:
            judge.observe(ArenaState(made, MIDDLE), NO_KEYS)
        assert judge.observe(ArenaState(made, facing[place.tid]), NO_KEYS) is end
    judge = Judge(made)
    judge.observe(ArenaState(made, MIDDLE), NO_KEYS)
    assert judge.observe(ArenaState(made, facing[other.tid]), NO_KEYS) is End.WRONG_OBJECT


def test_the_door_one_came_in_by_is_the_wrong_one(engine):
    made = layout(EVAL_SEED_START, DOOR)
    swapped = replace(made, door=made.entrance, entrance=made.door)
    expert = Expert()
    _, judge = play(engine, made, lambda state: expert.act(replace(state, layout=swapped)))
    assert (judge.end, judge.success) == (End.WRONG_OBJECT, False)


def test_they_are_kept_apart_from_what_seeds_draw():
    assert not set(MEMORY_GOALS) & set(GOALS)
    assert all(layout(seed).goal.name in GOALS and layout(seed).turntable is None for seed in range(300))
    assert "special = 71" not in layout_textmap(layout(EVAL_SEED_START)).decode()


def test_they_are_asked_for_by_their_words_and_as_a_task():
    for goal in MEMORY_GOALS.values():
        for words in (goal.name, goal.sentence.upper(), *goal.paraphrases):
            assert find_goal(words) is goal
        assert memory_goal(goal.task, 7) is goal
    assert [memory_goal("memory", number) for number in range(4)] == [TORCHES, BACK, DOOR, TORCHES]
    assert memory_goal(None, 0) is None
