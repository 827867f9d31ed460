"""How benchmarks show their figures."""

import json

from protege.evaluation.figures import Figure, as_json, as_table

FIGURES = [
    Figure("fps", 30.0, "30 fps", ">= 25", True),
    Figure("dropped", 3, "3 frames", "0", False),
    Figure("runs", 5, "5"),
]


def test_json_has_one_key_a_figure_and_the_machine():
    figures = json.loads(as_json(FIGURES))
    assert (figures["fps"], figures["dropped"], figures["runs"]) == (30.0, 3, 5)
    assert figures["machine"]["cores"] >= 1


def test_the_table_says_which_targets_were_met():
    lines = as_table(FIGURES).splitlines()
    assert lines[0].split() == ["fps", "30", "fps", ">=", "25", "met"]
    assert lines[1].endswith("MISSED")
    assert lines[2].split() == ["runs", "5"]
    assert lines[3].startswith("measured on")
