"""`protege improve` on a tiny model in the real arena: corrections only, resumed at every step, the better one kept."""

import json
import shutil
from dataclasses import replace

import pytest

pytest.importorskip("trl")
pytest.importorskip("vizdoom")

from protege import cli
from protege.arena.rooms import EVAL_SEED_START
from protege.core.events import Control, End, Goal
from protege.core.labeled import LabeledSegment, find_segments
from protege.core.session import Session, check, find_sessions
from protege.errors import UserError
from protege.improve import ImproveOptions, run
from protege.improve.state import Fitted, Labeled, Played, Round, Score

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
STEPS = ("play:", "label:", "train:", "score: the old", "score: the new")


def asked(begun, folder, **changes):
    """Options of a loop with data of its own."""
    if not (folder / "data").exists():
        shutil.copytree(begun / "data", folder / "data", ignore=shutil.ignore_patterns(".*"))
    small = ImproveOptions(
        out=folder / "loop", model=begun / "model", data=folder / "data", rounds=2, minutes=0.05, episodes=1
    )  # fmt: skip
    return replace(small, **changes)


@pytest.fixture(scope="module")
def improved(begun, tmp_path_factory):
    """Two rounds, nowhere stopped."""
    folder = tmp_path_factory.mktemp("improved")
    return run(asked(begun, folder)), folder


def made(folder):
    """What a loop leaves, byte by byte, without dates and random names."""
    wanted = ("round.json", "adapter_model.safetensors", "samples.jsonl", "segment.json", "events.jsonl")
    found = [p for p in folder.rglob("*") if p.name in wanted or p.suffix == ".jpg"]
    return {p.relative_to(folder): p.read_bytes() for p in found if "checkpoints" not in p.parts}


def test_every_step_of_every_round_is_written_down(improved, begun):
    result, folder = improved
    assert len(result.rounds) == 2
    for number, found in enumerate(result.rounds, 1):
        assert Round.load(folder / "loop" / f"round_{number}") == found
        assert found.play
        assert found.play.frames >= 30
        assert found.train == Fitted(2)
        assert found.before
        assert found.before.of == 1
        assert found.after
        assert found.after.of == 1
    first, second = result.rounds
    assert second.before == (first.after if first.better else first.before)
    assert result.frames_added == sum(each.play.corrected for each in result.rounds if each.play) > 0
    assert (begun / "model" / "run.json").read_bytes() != (folder / "loop/round_1/model/run.json").read_bytes()


def test_takeovers_are_recorded_as_play_records_them(improved):
    _, folder = improved
    sessions = [Session.open(path) for path in find_sessions(folder / "loop" / "round_1" / "runs")]
    assert sessions
    for session in sessions:
        assert check(session.folder) == []
        assert session.info.source == "agent"
        controls = [event.by for event in session.events if isinstance(event, Control)]
        assert controls == ["agent", "human", "agent", "human", "agent", "human", "agent"][: len(controls)]
        assert sum(isinstance(event, Goal) for event in session.events) == 1
        assert sum(isinstance(event, End) for event in session.events) == 1
        human = sum(span.stop - span.start for span in session.spans() if span.by == "human")
        assert human == session.info.extra["corrected"]
    assert any(session.info.extra["takeovers"] for session in sessions)


def test_what_is_labeled_is_what_the_person_did_and_nothing_else(improved):
    _, folder = improved
    runs = [p for number in (1, 2) for p in find_sessions(folder / "loop" / f"round_{number}" / "runs")]
    sessions = {path.name: Session.open(path) for path in runs}
    labeled = [LabeledSegment.load(path) for path in find_segments(folder / "data")]
    corrections = [segment for segment in labeled if segment.session in sessions]
    assert corrections
    for segment in corrections:
        spans = [span for span in sessions[segment.session].spans() if span.by == "human"]
        assert any(span.start <= segment.start and segment.stop <= span.stop for span in spans)
        assert segment.goal == sessions[segment.session].info.extra["goal"]


def test_rooms_to_correct_in_are_others_each_round_and_none_is_scored_in(improved):
    result, folder = improved
    seeds = [
        Session.open(path).info.extra["seed"]
        for number in (1, 2)
        for path in find_sessions(folder / "loop" / f"round_{number}" / "runs")
    ]
    assert seeds == list(range(7_000, 7_000 + len(seeds)))
    assert max(seeds) < EVAL_SEED_START
    assert [each.play.next_seed for each in result.rounds if each.play][-1] == 7_000 + len(seeds)


def test_stopped_after_every_step_it_leaves_what_one_run_leaves(begun, improved, tmp_path):
    options, done, heard = asked(begun, tmp_path, rounds=1), set(), []

    def stop(text):
        step = next((step for step in STEPS if text.strip().startswith(step)), None)
        if step is not None:
            heard.append(step)
        if step is not None and step not in done:
            done.add(step)
            raise KeyboardInterrupt

    for _ in STEPS:
        with pytest.raises(KeyboardInterrupt):
            run(options, stop)
    assert run(options, stop).rounds == improved[0].rounds[:1]
    assert heard == sorted([*STEPS, *STEPS], key=STEPS.index)  # stopped once before each, and none done twice
    stopped, straight = made(tmp_path), made(improved[1] / "loop" / "round_1")
    assert {path.relative_to("loop/round_1") for path in stopped if path.is_relative_to("loop")} == straight.keys()
    assert stopped.items() <= made(improved[1]).items()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize(("won", "kept"), [((3, 5), "new"), ((5, 3), "old"), ((4, 4), "old")])
def test_the_better_model_is_kept(begun, tmp_path, won, kept):
    options = asked(begun, tmp_path, rounds=1)
    before, after = (Score(number, 10) for number in won)
    folder = options.out / "round_1"
    with pytest.raises(KeyboardInterrupt):
        run(options, play=stopped)
    Round(Played(1, 60, 30, 1, 7_001), Labeled(2, 20), Fitted(2), before, after).save(folder)
    result = run(options)
    assert result.model == (folder / "model" if kept == "new" else options.model)
    assert result.scores == (before, after if kept == "new" else before)
    assert result.to_json()["success"] == max(won) / 10


def stopped(turn):
    raise KeyboardInterrupt


def test_where_nothing_was_corrected_it_ends(begun, tmp_path):
    said = []
    options = asked(begun, tmp_path)
    result = run(options, said.append, lambda turn: Played(0, 100, 0, 0, turn.first))
    assert len(result.rounds) == 1
    assert result.model == options.model
    assert result.rounds[0].train == Fitted(0)
    assert "nothing was corrected" in said[-1]


def test_another_loop_in_the_same_folder_is_refused(begun, tmp_path):
    options = asked(begun, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(options, play=stopped)
    with pytest.raises(UserError, match=r"begun with --minutes 0.05, not 1.0"):
        run(replace(options, minutes=1.0))
    (options.out / "round_1").mkdir(exist_ok=True)
    (options.out / "round_1" / "round.json").write_text('{"play": 3}')
    with pytest.raises(UserError, match=r"round.json: not the record of a round"):
        run(options)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(UserError, match="not made by protege improve"):
        run(replace(options, out=tmp_path / "mine"))


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (["--person", "nobody"], ["--person nobody", "expert or me"]),
        (["--game", "chess"], ["--game chess", "no such game"]),
        (["--person", "me", "--game", "arena"], ["--person me", "--game window"]),
        (["--person", "me"], ["--goal"]),
        (["--seed", "10000"], ["--seed 10000", "5,000 to 9,999"]),
        (["--goal", "Sing a song"], ["'Sing a song'", "its goals are"]),
        (["--minutes", "0"], ["--minutes"]),
        (["--model", "nowhere"], ["--model nowhere", "protege train"]),
    ],
    ids=lambda value: " ".join(value)[:30],
)
def test_a_mistake_is_one_line_and_begins_nothing(line, parts, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["improve", *line]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert all(part in said.err for part in parts)
    assert list(tmp_path.iterdir()) == []


def test_the_command_goes_on_and_says_both_numbers_and_what_is_next(begun, improved, capsys):
    _, folder = improved
    line = ["improve", "--model", str(begun / "model"), "--data", str(folder / "data"), "--out", str(folder / "loop")]
    line += ["--rounds", "2", "--minutes", "0.05", "--episodes", "1"]
    assert cli.run(line) == 0
    said = capsys.readouterr()
    assert [text.split()[0] for text in said.out.splitlines()] == ["before", "after", "model", "next:"]
    assert "protege play --model" in said.out
    assert cli.run([*line, "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields["frames_added"] > 0
    assert fields["success_ci"][0] <= fields["success"] <= fields["success_ci"][1]
