"""Scoring a model against goals that are known, and labeling recordings of the built-in game and imported ones."""

import pytest

from protege.arena.record import record_episodes
from protege.core.labeled import NO_SAMPLES, LabeledSegment, find_segments
from protege.core.session import find_sessions
from protege.errors import UserError
from protege.labeling import Given, label, load, score
from protege.labeling.backends.base import Answer
from protege.labeling.scoring import NO_ANSWER, overlap
from tests.labeling.recordings import HOLD, record
from tests.recorder.foreign import OWAMCAP, import_recordings, video


class Fixed:
    name = "fixed"

    def __init__(self, *replies):
        self.replies = replies

    def answers(self, questions):
        for q in questions:
            yield Answer(q.number, self.replies[q.number % len(self.replies)])


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("Go to the lantern", "go to lantern", 1),
        ("Open the door", "Go to the lantern", 0),
        ("Go to the red torch", "Go to the green torch", 2 / 3),
        ("", "Open the door", 0),
        ("", "", 1),
    ],
)
def test_word_overlap(answer, truth, expected):
    assert overlap(answer, truth) == pytest.approx(expected)
    assert overlap(truth, answer) == pytest.approx(expected)


def test_answers_are_compared_with_the_true_goals_and_confusions_shown(tmp_path):
    names = ["Go to the lantern", "Open the door", "Open the door", "Climb the stairs"]
    folders = [
        record(tmp_path, [HOLD["w"]] * 30, name=f"s{i}", goals=[(0, goal, 30, "success")])
        for i, goal in enumerate(names)
    ]
    found = score(folders, Fixed("Go to the lantern.", "Open the door", "Open a gate", "x"))
    assert found.exact == 0.5
    assert found.usable == 0.75
    assert found.overlap == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert found.confusion()[0] == ("Open the door", 2, [("Open the door", 1), ("Open a gate", 1)])
    assert found.confusion()[2] == ("Climb the stairs", 1, [(NO_ANSWER, 1)])
    table = found.table()
    assert "exact      50.0 %" in table
    assert "Open the door         2  Open the door 1, Open a gate 1" in table


def test_without_true_goals_nothing_can_be_scored(tmp_path):
    with pytest.raises(UserError, match="protege arena record"):
        score([record(tmp_path, [HOLD["w"]] * 30)], Fixed("Open the door"))


@pytest.fixture(scope="module")
def arena(tmp_path_factory):
    out = tmp_path_factory.mktemp("arena")
    record_episodes(out, 3, seed=100, size=(160, 120))
    return out


def test_recordings_of_the_built_in_game_are_labeled_with_their_goals(arena, tmp_path):
    result = label(find_sessions(arena), tmp_path, Given())
    assert result.exit_code == 0
    assert result.needs_review == 0
    assert result.sessions == 3
    data = load(tmp_path)
    rows: list[dict] = data.remove_columns("image").to_list()
    done = [row for row in rows if row["actions"] == ["none"] * 7]
    assert {row["session"] for row in done} == {folder.name for folder in find_sessions(arena)}
    assert len({row["goal"] for row in done}) >= 2


def test_a_perfect_labeler_scores_everything(arena):
    found = score(find_sessions(arena), Given())
    assert (found.exact, found.overlap, found.usable) == (1, 1, 1)


@pytest.mark.parametrize("recording", sorted(p.name for p in OWAMCAP.glob("*.mcap")))
def test_imported_owamcap_recordings_are_labeled(recording, tmp_path):
    import_recordings(OWAMCAP / recording, tmp_path / "raw")
    result = label(find_sessions(tmp_path / "raw"), tmp_path / "out", Fixed("Open the door"))
    assert result.exit_code == 0
    assert result.sessions == 1
    counted = [LabeledSegment.load(p) for p in find_segments(tmp_path / "out")]
    assert len(counted) + sum(result.aside.values()) > 0


def test_an_imported_video_gets_goals_but_no_samples(tmp_path):
    import_recordings(video(tmp_path / "play.mp4", frames=90), tmp_path / "raw")
    result = label(find_sessions(tmp_path / "raw"), tmp_path / "out", Fixed("Build a pillar"))
    assert "the session has no keys" in result.refused[0]
    (found,) = [LabeledSegment.load(p) for p in find_segments(tmp_path / "out")]
    assert (found.goal, found.status) == ("Build a pillar", NO_SAMPLES)
