"""The labeling benchmark on three minutes of play: every figure is there; how fast it is, is not asserted."""

import json

import pytest

from bench import label
from protege.core.session import Session, check
from protege.errors import UserError
from protege.evaluation.figures import as_json, as_table

KEYS = [
    "hour_seconds",
    "peak_mb",
    "growth_time",
    "growth_memory",
    "speedup_over_origin",
    "disk_mb",
    "disk_mb_origin",
    "requests_per_s",
]


def test_every_figure_of_the_benchmark_is_measured():
    said = []
    figures = label.run(hours=0.02, origin_hours=0.01, requests=32, say=said.append, episodes=3)
    assert [figure.key for figure in figures] == KEYS
    values = json.loads(as_json(figures))
    assert all(values[key] > 0 for key in KEYS[:-1])
    assert set(values["requests_per_s"]) == {"1", "8", "32"}
    assert values["disk_mb"] < values["disk_mb_origin"]
    assert "from 0.01 of 0.02 hours" in as_table(figures)
    assert len(said) == 4


def test_the_repeated_play_is_a_sound_session(tmp_path):
    pattern = label.make_pattern(tmp_path / "arena", 2)
    folder = label.repeat(pattern, tmp_path / "long", 150)
    assert check(folder) == []
    session = Session.open(folder)
    first = Session.open(pattern[0])
    assert len(session) == 150
    assert session.path(3).samefile(first.path(3))
    again = sum(len(Session.open(path)) for path in pattern)
    assert (session.actions()[:20] == first.actions()[:20]).all()
    assert len(session) > again
    assert session.spans()[0].goal == first.spans()[0].goal


def test_it_says_where_it_cannot_run(monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(UserError, match="on Linux"):
        label.run()
