"""The scripted person corrects an agent that looks with the mouse: with the mouse, too."""

import contextlib
import json

import numpy as np
import pytest

pytest.importorskip("vizdoom")

from protege.arena.engine import ARENA_MOUSE
from protege.core.session import Session, check
from protege.evaluation.episodes import Job, Player, Runner
from protege.improve.corrections import correct
from protege.labeling import Given, label


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.timeout(120)
def test_corrections_with_the_mouse_are_recorded_and_labeled(tmp_path):
    runner = Runner(Player("random", device="cpu", game=ARENA_MOUSE))
    with contextlib.closing(runner):
        rooms = [correct(lambda: runner, Job(seed), tmp_path / f"runs/room_{seed}") for seed in (7_000, 7_001)]
    assert all(room.takeovers for room in rooms)
    look = ARENA_MOUSE.look
    assert look is not None
    for folder in sorted((tmp_path / "runs").iterdir()):
        assert check(folder) == []
        session = Session.open(folder)
        assert session.info.space == ARENA_MOUSE
        yaw, _ = np.abs(session.motion()).sum(0)
        assert yaw * look.degrees_per_count > 10  # a random agent faces nothing: the person turned
    found = label([tmp_path / "runs/room_7000", tmp_path / "runs/room_7001"], tmp_path / "data", Given())
    assert found.problems == []
    answers = [row["messages"][1]["content"] for path in (tmp_path / "data").rglob("*.jsonl") for row in lines(path)]
    assert any(" R k" in answer for answer in answers)  # turned right, to look for the goal
