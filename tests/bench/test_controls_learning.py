"""The learning figure of python -m bench controls, in small."""

import pytest

pytest.importorskip("torch")

from bench.controls_learning import Learning, learning


def test_the_figure_compares_model_copying_rule_and_own_history_head_by_head():
    tiny = Learning(recordings=12, frames=120, epochs=1, d_model=8, layers=1)
    found = {figure.key: figure for figure in learning(tiny)}
    assert list(found) == ["f1", "f1_copy", "f1_ceiling", "f1_own_history"]
    for figure in found.values():
        assert set(figure.value) <= {"action", "inventory"}
        assert all(0 <= value <= 1 for value in figure.value.values())
    assert found["f1_ceiling"].value["action"] > 0.8  # the rule reads most of what the body says
    assert found["f1"].value["action"] < found["f1_ceiling"].value["action"]  # one epoch of a tiny model
    assert found["f1"].good is False
    assert "gap" in found["f1_own_history"].text
