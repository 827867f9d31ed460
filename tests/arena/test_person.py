"""The expert beside an agent, on the real engine: who goes wrong is corrected, who plays well is left alone."""

import itertools

import pytest

from protege.arena.engine import Engine
from protege.arena.expert import Expert
from protege.arena.person import PLAYS, WATCHED, Person
from protege.arena.rooms import layout
from protege.arena.state import Judge, tics_of
from protege.arena.tasks import GOALS
from protege.core.actions import NO_KEYS
from tests.arena.test_expert import pretend

SEEDS = range(7_000, 7_012)
LONG = 300


@pytest.fixture(scope="module")
def engine():
    with Engine((160, 120)) as made:
        yield made


def watched(engine, seed, agent, goal=None):
    """An episode with the person beside the agent: whether he played, decision by decision, and whether it was won."""
    made = layout(seed, goal)
    person, judge, state, played = Person(), Judge(made, LONG), engine.load(made), []
    person.start_episode()
    while not judge.success and judge.decisions < LONG:
        played.append(person.watch(state))
        action = person.act(state) if played[-1] else agent(state)
        state = engine.step(action, tics_of(judge.decisions))
        judge.observe(state, action)
    return played, judge


def lengths(played):
    """How long the agent and the person played by turns: (whether it was the person, decisions)."""
    return [(by, len(list(group))) for by, group in itertools.groupby(played)]


@pytest.mark.parametrize("goal", [None, "door", "stairs", "posters"])
def test_who_is_on_course_is_never_interrupted(engine, goal):
    for seed in SEEDS:
        played, judge = watched(engine, seed, Expert().act, goal and GOALS[goal])
        assert judge.success
        assert not any(played), f"seed {seed}"


@pytest.mark.parametrize("keys", [(), ("w",), ("s",)], ids=["stuck or done too early", "away or stuck", "backwards"])
def test_who_goes_wrong_for_a_second_is_corrected_until_the_goal_is_reached(engine, keys):
    for seed in SEEDS:
        played, judge = watched(engine, seed, lambda state: frozenset(keys))
        assert judge.success, f"seed {seed}"
        (first, before), *rest = lengths(played)
        assert not first
        assert before >= WATCHED or not rest
        assert all(length > PLAYS for by, length in rest[:-1] if by)  # the last one ends at the goal


def test_the_person_hands_back_once_on_course(engine):
    turns = [lengths(watched(engine, seed, lambda state: NO_KEYS)[0]) for seed in SEEDS]
    assert any([by for by, _ in each][:3] == [False, True, False] for each in turns)


def test_who_says_done_too_early_is_corrected_a_second_later(engine):
    for seed in SEEDS:
        expert, stopped = Expert(), []

        def agent(state, expert=expert, stopped=stopped):
            if stopped or state.pose.distance(state.layout.aim) < 220:
                stopped.append(state)
                return NO_KEYS
            return expert.act(state)

        played, judge = watched(engine, seed, agent, GOALS["tree"])
        assert judge.success
        assert any(played)
        alone = next(length for by, length in lengths(played) if not by)
        assert len(stopped) <= alone
        assert WATCHED // 2 <= len(stopped) <= 2 * WATCHED  # he slides on for a moment


def test_who_goes_to_another_object_is_corrected(engine):
    corrected = []
    for seed in SEEDS:
        made = layout(seed, GOALS["lantern"])
        for placed in made.distractors[:1]:
            expert, other = Expert(), GOALS[placed.kind.name]
            played, judge = watched(
                engine,
                seed,
                lambda state, expert=expert, other=other: expert.act(pretend(state, other)),
                made.goal,
            )
            assert judge.success
            corrected.append(any(played))
    assert sum(corrected) >= 0.7 * len(corrected) > 0  # some objects lie on the way
