"""Takeovers become training data: what a person did in the agent's runs, and nothing that the agent did."""

import json

import numpy as np
import pytest

from protege.agent.record import RunRecorder
from protege.core import NO_KEYS, Frame, Session, SessionInfo, SessionWriter
from tests.agent.fakes import W
from tests.agent.test_listeners import slot

SECOND = 10


@pytest.fixture
def run(tmp_path):
    """The agent walks for 3 s, a person turns left for 3 s, the agent walks on for 2 s and is stopped."""
    folder = tmp_path / "dataset" / "agent_runs"
    recorder = RunRecorder(SessionWriter.create(folder, SessionInfo(frame_size=(64, 48)), "run"), 0)
    recorder.control(0, "agent")
    recorder.goal(0, "Go to the lantern")
    for n in range(8 * SECOND):
        if n == 3 * SECOND:
            recorder.control(n * 100_000_000, "human")
            recorder.human_key(n * 100_000_000, "left", True)
        if n == 6 * SECOND:
            recorder.human_key(n * 100_000_000 - 1, "left", False)
            recorder.control(n * 100_000_000, "agent")
        by_agent = not 3 * SECOND <= n < 6 * SECOND
        recorder.slot(slot(n, W if by_agent else NO_KEYS, by="agent" if by_agent else "human"))
        recorder.frame(Frame(np.full((48, 64, 3), n, np.uint8), n * 100_000_000))
        while not recorder._queue.empty():
            pass
    recorder.goal_ended(8 * SECOND * 100_000_000, "Go to the lantern", "stopped by hand")
    recorder.finish(8 * SECOND * 100_000_000, {})
    return folder / "run"


def test_spans_of_a_run_say_whose_keys_they_are(run):
    spans = Session.open(run).spans()
    assert [(span.start, span.stop, span.by, span.goal) for span in spans] == [
        (0, 30, "agent", "Go to the lantern"), (30, 60, "human", "Go to the lantern"),
        (60, 80, "agent", "Go to the lantern"),
    ]  # fmt: skip


def test_corrections_are_labeled_with_the_runs_goal_and_hold_only_what_the_person_pressed(run, run_protege, tmp_path):
    done = run_protege("label", "--corrections", "--raw", str(run.parent), "--out", str(tmp_path / "labeled"))
    assert done.returncode == 0, done.stderr
    assert "2 pieces set aside: the agent's own play" in done.stdout
    (samples,) = (tmp_path / "labeled").glob("*/samples.jsonl")
    lines = [json.loads(line)["messages"] for line in samples.read_text().splitlines()]
    assert len(lines) == 30 - 6  # the last windows would go on into the agent's play
    said = {action for line in lines for action in json.loads(line[1]["content"])["actions"]}
    assert said == {"left"}
    assert "Go to the lantern" in lines[0][0]["content"][1]["text"]


def test_corrections_are_looked_for_in_the_agents_runs(run, run_protege, tmp_path):
    done = run_protege("label", "--corrections", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dataset" / "labeled_segments" / "run.json").exists()
