"""A run of the agent: what it planned at a moment, and what becomes of the corrections in it."""

import json

import pytest

from protege.agent.listener import Slot
from protege.agent.record import PLANS, RunRecorder
from protege.agent.worker import Prediction
from protege.core.plan import Plan
from protege.core.session import Session, SessionInfo, SessionWriter
from protege.studio.runs import plans_of
from protege.studio.segments import identity
from tests.labeling.recordings import HOLD, record
from tests.studio.conftest import make, serving
from tests.studio.test_pages import SCORES, with_model

W, NONE = frozenset("w"), frozenset()


@pytest.fixture
def project(tmp_path):
    """With a run in which a person took over after two seconds."""
    project = make(tmp_path / "p", seconds=8, waiting=False)
    folder = record(project.root / "dataset" / "agent_runs", [HOLD["w"]] * 40, "run")
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    events += [{"t_ns": 0, "by": "agent"}, {"t_ns": 0, "goal": "Open the door"}, {"t_ns": 2_000_000_000, "by": "human"}]
    lines = [json.dumps(event) for event in sorted(events, key=lambda event: event["t_ns"])]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    return project


def test_a_recorded_run_keeps_each_plan_once_with_its_probabilities(tmp_path):
    recorder = RunRecorder(SessionWriter.create(tmp_path, SessionInfo(), "run"), 0, plans=True)
    made = Prediction(Plan((W, NONE)), "go", 5, 7, (0.75, 0.5))
    for number, prediction in enumerate([None, made, made, Prediction(Plan((NONE, W)), "go", 9, 7)]):
        recorder.slot(Slot(number, 0, number, W, prediction, 0, "agent", "go", ""))
    recorder.finish(10, {})
    lines = [json.loads(line) for line in (tmp_path / "run" / PLANS).read_text().splitlines()]
    assert lines == [
        {"t_ns": 5, "latency_ns": 7, "plan": ["w", "none"], "p": [0.75, 0.5]},
        {"t_ns": 9, "latency_ns": 7, "plan": ["none", "w"]},
    ]


def test_plans_that_a_kill_tore_or_somebody_wrote_are_left_out(project):
    folder = project.root / "dataset" / "agent_runs" / "run"
    good = {"t_ns": 100_000_000, "latency_ns": 50_000_000, "plan": ["w"], "p": [0.5]}
    bad = [{**good, "p": [1, 2]}, {**good, "t_ns": "x"}, {**good, "plan": [1]}, [], 7]
    lines = [json.dumps(line) for line in [*bad, good]]
    (folder / PLANS).write_text("\n".join(lines) + '\n{"t_ns": 1')
    assert plans_of(Session.open(folder)) == [{"at": 150, "took": 50, "steps": ["w"], "p": [0.5]}]
    (folder / PLANS).unlink()
    assert plans_of(Session.open(folder)) == []


def test_the_plan_at_the_playhead_is_shown_with_its_probabilities(page, project):
    folder = project.root / "dataset" / "agent_runs" / "run"
    plans = [
        {"t_ns": t * 100_000_000, "latency_ns": 0, "plan": ["w", key], "p": [0.98, 0.4]}
        for t, key in [(1, "left"), (5, "right")]
    ]
    (folder / PLANS).write_text("".join(json.dumps(plan) + "\n" for plan in plans))
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/runs/{identity('run')}/play")
        page.wait_for_selector("#plan:not(.hidden)")
        page.keyboard.press(".")
        page.wait_for_function("() => document.querySelectorAll('#plan kbd').length === 2")
        assert page.locator("#plan kbd").all_inner_texts() == ["w 98%", "left 40%"]
        for _ in range(4):
            page.keyboard.press(".")
        assert page.locator("#plan kbd").all_inner_texts() == ["w 98%", "right 40%"]
        assert page.locator("#plan .unsure").all_inner_texts() == ["right 40%"]


def test_corrections_are_labeled_and_then_trained_on_by_one_button(page, project):
    (project.root / "configs").mkdir()
    (project.root / "configs" / "vision_lora.yaml").write_text("model: {base: models/missing}\n")
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/runs/{identity('run')}/play")
        assert "You played 20 of 40 frames" in page.locator("#learning").inner_text()
        page.click("text=Train on these 20 corrections")
        page.wait_for_function(
            "() => document.getElementById('work-words').textContent.includes('exit code')", timeout=90_000
        )
        assert page.locator("#work-command").inner_text() == "protege train"
        page.reload()
        assert "They are 1 segment of the labeled data" in page.locator("#learning").inner_text()
    assert project.segment("run_seg000").goal == "Open the door"


def test_the_score_before_and_after_a_training_on_a_run_stands_beside_it(page, project):
    names = {"by": "segment", "names": ["run_seg000"]}
    with_model(project, {**SCORES, "trained_on": names, "before": {"first_action_accuracy": 0.4, "samples": 9}})
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/runs/{identity('run')}/play")
        cells = page.locator("#learning td").all_inner_texts()
    assert cells[:2] == ["40", "80"]
