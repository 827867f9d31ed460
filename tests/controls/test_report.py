"""The page and the picture of a run."""

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from protege.controls import tables
from protege.controls.config import LOSS_WEIGHTS
from protege.controls.evaluate import Evaluation
from protege.controls.metrics import Predictions, Thresholds, score
from tests.controls.test_metrics import press, truth

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from protege.controls.report import curves, precision_recall, write_curves, write_report


@pytest.fixture(scope="module")
def found():
    """Forward is told well, jump badly; the inventory is never open."""
    rng = np.random.default_rng(0)
    controls = np.zeros((200, 28), np.float32)
    press(controls, "move_forward", range(0, 200, 2))
    press(controls, "jump", range(0, 200, 10))
    frames = truth(controls)
    predicted = Predictions.of_controls(controls.copy())
    predicted.action[:, 6] = rng.random(200)
    limits = Thresholds()
    scores = score(predicted, frames, limits)
    return Evaluation(scores, scores, scores, None, limits, predicted, frames)


def history(epochs=3) -> list[Any]:
    losses = {"loss": 1.0, **dict.fromkeys(LOSS_WEIGHTS, 0.5)}
    names = ("score", "action_f1", "inventory_f1", "hotbar_accuracy", "idle_accuracy", "look_direction")
    return [
        {"epoch": i + 1, "train": losses, "val": losses, "best": i == 1, **dict.fromkeys(names, 0.1 * i or None)}
        for i in range(epochs)
    ]


def test_the_curves_are_a_picture_even_where_heads_are_absent(tmp_path):
    write_curves(history(), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (1200, 400)
    assert curves(history()) != curves(history(5))


def test_every_control_that_was_pressed_has_a_curve_and_no_other(found):
    made = precision_recall(found)
    assert [name for name, *_ in made] == ["move_forward", "jump"]
    for _, row, threshold, png in made:
        assert threshold == 0.5
        assert row.support in (100, 20)
        Image.open(io.BytesIO(png)).verify()


def test_the_page_has_scores_thresholds_curves_and_says_what_is_absent(found, tmp_path):
    page = tmp_path / "report.html"
    write_report(found, history(), page, "control_policy_v2.pt")
    text = page.read_text()
    assert "<b>move_forward</b> from 0.50 on: precision 1.000" in text
    assert "There was nothing to judge for: look, hotbar, cursor, inventory" in text
    assert "Scores of control_policy_v2.pt" in text
    assert len(re.findall(r'src="data:image/png;base64,', text)) == 3
    assert not re.findall(r'(src|href)="http', text)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_page_without_a_training_history_has_no_curves_of_it(found, tmp_path):
    write_report(found, (), tmp_path / "report.html", "a & b")
    text = (tmp_path / "report.html").read_text()
    assert "<h2>Training</h2>" not in text
    assert "a &amp; b" in text


def test_open_inventory_counts_with_a_screen_open_in_the_curves_too(found):
    controls = np.zeros((20, 28), np.float32)
    controls[15, tables.OPEN_INVENTORY] = 1
    frames = truth(controls, screen=range(10, 20))
    predicted = Predictions.of_controls(controls)
    scores = score(predicted, frames)
    made = precision_recall(Evaluation(scores, scores, scores, None, Thresholds(), predicted, frames))
    assert [(name, row.support, row.f1) for name, row, *_ in made] == [("open_inventory", 1, 1.0)]
