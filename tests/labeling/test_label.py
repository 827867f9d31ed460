"""Labeling a folder of recordings: what is written, what is done again, what survives a kill."""

import errno
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from protege.core import KEYBOARD_12
from protege.core.labeled import LABELED, NEEDS_REVIEW, NO_SAMPLES, LabeledSegment, find_segments, read_samples
from protege.core.session import frame_path
from protege.errors import UserError
from protege.labeling import Given, LabelOptions, approve, label
from protege.labeling.backends.base import Answer, BackendError
from protege.labeling.store import SessionRecord
from tests.labeling.recordings import HOLD, record

W, RIGHT, NONE = HOLD["w"], HOLD["right"], HOLD["none"]
PLAY = [W] * 30 + [HOLD["wr"]] * 20 + [NONE] * 5 + [RIGHT] * 45
GOALS = [(0, "Go to the lantern", 60, "success"), (60, "Open the door", 100, "success")]


class Scripted:
    """Answers from a function of (segment number, attempt); remembers what it was asked."""

    def __init__(self, answer, name="scripted"):
        self.answer, self.name, self.asked = answer, name, []

    def answers(self, questions):
        for question in questions:
            attempt = sum(q.number == question.number for q in self.asked)
            self.asked.append(question)
            yield Answer(question.number, self.answer(question.number, attempt))


def segments(out):
    return [LabeledSegment.load(path) for path in find_segments(out)]


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_given_goals_become_folders_with_pictures_samples_and_a_description(tmp_path):
    folder = record(tmp_path / "raw", PLAY, goals=GOALS)
    result = label([folder], tmp_path / "out", Given())
    assert result.exit_code == 0
    assert (result.segments, result.samples) == (3, 100)
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == ["s.json", "s_seg000", "s_seg001", "s_seg002"]
    first = out / "s_seg000"
    assert len(list(first.glob("frame_*.jpg"))) == 40
    assert (first / "frame_0007.jpg").read_bytes() == frame_path(folder, 7).read_bytes()
    assert (first / "frame_0007.jpg").samefile(frame_path(folder, 7))
    found = list(read_samples(first / "samples.jsonl", KEYBOARD_12))
    assert [s.image for s in found] == [f"frame_{i:04d}.jpg" for i in range(40)]
    assert {s.goal for s in found} == {"Go to the lantern"}
    assert found[39].plan.steps == (RIGHT,) * 7  # the goal goes on in the next segment
    assert list(read_samples(out / "s_seg001" / "samples.jsonl", KEYBOARD_12))[-1].plan.done


def test_chords_name_every_key(tmp_path):
    folder = record(tmp_path / "raw", PLAY, goals=GOALS)
    label([folder], tmp_path / "out", Given(), LabelOptions(chords=True))
    line = json.loads((tmp_path / "out" / "s_seg000" / "samples.jsonl").read_text().splitlines()[32])
    assert json.loads(line["messages"][1]["content"])["actions"] == ["w+right"] * 7


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL])  # EINVAL: exFAT on Windows
def test_pictures_are_copied_where_links_are_impossible(tmp_path, monkeypatch, number):
    folder = record(tmp_path / "raw", [W] * 40, goals=[(0, "Open the door", 40, "success")])

    def refuse(*_):
        raise OSError(number, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    label([folder], tmp_path / "out", Given())
    copy = tmp_path / "out" / "s_seg000" / "frame_0003.jpg"
    assert copy.read_bytes() == frame_path(folder, 3).read_bytes()
    assert copy.stat().st_nlink == 1


def test_a_second_run_does_only_what_is_missing_and_redo_replaces(tmp_path):
    folder, out = record(tmp_path / "raw", PLAY), tmp_path / "out"
    first = Scripted(lambda n, _: f"Open door {n}")
    label([folder], out, first)
    before = tree(out)
    again = Scripted(lambda n, _: "Climb the stairs")
    result = label([folder], out, again)
    assert again.asked == []
    assert (result.skipped, tree(out)) == (1, before)
    shutil.rmtree(out / "s_seg001")
    label([folder], out, again)
    assert len(again.asked) == 1
    assert [s.goal for s in segments(out)] == ["Open door 0", "Climb the stairs", "Open door 2"]
    label([folder], out, again, LabelOptions(redo=True))
    assert [s.goal for s in segments(out)] == ["Climb the stairs"] * 3


def test_other_settings_or_an_edited_recording_need_redo(tmp_path):
    folder, out = record(tmp_path / "raw", PLAY, goals=GOALS), tmp_path / "out"
    label([folder], out, Given())
    result = label([folder], out, Given(), LabelOptions(seconds=2))
    assert result.exit_code == 1
    assert "seconds 4.0 then, 2 now" in result.problems[0]
    assert "--redo" in result.problems[0]
    shutil.rmtree(folder)
    record(tmp_path / "raw", PLAY[:80], goals=GOALS[:1])
    assert "100 frames then, 80 now" in label([folder], out, Given()).problems[0]
    assert label([folder], out, Given(), LabelOptions(seconds=2, redo=True)).exit_code == 0
    assert len(segments(out)) == 3


def test_a_failing_answer_is_asked_again_with_the_reason_and_then_needs_review(tmp_path):
    replies = {0: ["The lantern", "Go to the lantern"], 1: ["x", "y", "z"], 2: ["- Open the door."]}
    labeler = Scripted(lambda n, attempt: replies[n][attempt])
    result = label([record(tmp_path / "raw", PLAY)], tmp_path / "out", labeler)
    assert len(labeler.asked) == 2 + 3 + 1
    again = next(q for q in labeler.asked if q.number == 0 and "You answered" in q.text)
    assert '"The lantern". That cannot be used: it is not an instruction' in again.text
    a, b, c = segments(tmp_path / "out")
    assert (a.goal, a.status, c.goal) == ("Go to the lantern", LABELED, "Open the door")
    assert (b.goal, b.status) == ("Z", NEEDS_REVIEW)
    assert "1 words" in b.why
    assert result.needs_review == 1
    assert not (tmp_path / "out" / "s_seg001" / "samples.jsonl").exists()
    assert (tmp_path / "out" / "s_seg001" / "frame_0000.jpg").exists()


def test_approving_a_segment_makes_it_trainable(tmp_path):
    out = tmp_path / "out"
    label([record(tmp_path / "raw", PLAY)], out, Scripted(lambda n, _: "x"))
    assert approve(out / "s_seg000", "Walk down the corridor") == 40
    found = segments(out)[0]
    assert (found.status, found.goal) == (LABELED, "Walk down the corridor")
    assert list(read_samples(out / "s_seg000" / "samples.jsonl", KEYBOARD_12))[-1].plan.done
    assert label([tmp_path / "raw" / "s"], out, Scripted(lambda n, _: "y")).needs_review == 2


def test_the_model_sees_a_sheet_with_times_and_a_line_about_the_keys(tmp_path):
    from io import BytesIO

    from PIL import Image

    labeler = Scripted(lambda n, _: "Open the door")
    label([record(tmp_path / "raw", PLAY, size=(160, 120))], tmp_path / "out", labeler, LabelOptions(pictures=4))
    question = labeler.asked[0]
    assert "These 4 pictures show 4.0 seconds" in question.text
    assert "0.0 s, 1.3 s, 2.6 s, 3.9 s" in question.text
    assert "Keys held: w 4.0 s, right 1.0 s." in question.text
    sheet = Image.open(BytesIO(question.picture))
    assert sheet.size == (4 * 160 + 3 * 8, 120)
    assert sheet.getpixel((1, 1)) == pytest.approx((0, 0, 0), abs=40)  # the black box of the time


def test_adjacent_segments_with_one_goal_are_joined_if_asked_but_never_across_a_pause(tmp_path):
    folder = record(tmp_path / "raw", [W] * 160, pauses=(80,))
    out = tmp_path / "out"
    label([folder], out, Scripted(lambda n, _: "Go down the road"), LabelOptions(join=True))
    assert [(s.start, s.stop) for s in segments(out)] == [(0, 80), (80, 160)]


def test_a_goal_found_twice_in_a_row_is_only_reached_the_second_time(tmp_path):
    out = tmp_path / "out"
    label([record(tmp_path / "raw", [W] * 80)], out, Scripted(lambda n, _: "Go down the road"))
    first, second = (list(read_samples(p / "samples.jsonl", KEYBOARD_12)) for p in find_segments(out))
    assert not any(s.plan.done for s in first)
    assert second[-1].plan.done


def test_paraphrases_are_checked_and_kept_beside_the_goal(tmp_path):
    def answer(n, attempt):
        return "Open the door"

    class Phrases(Scripted):
        def answers(self, questions):
            for q in questions:
                text = "1. Go through the door\n2. open the door\n3. The door\n4. Pull the door open\n5. Use the door"
                yield Answer(q.number, text if "other ways" in q.text else "Open the door")

    out = tmp_path / "out"
    label([record(tmp_path / "raw", PLAY)], out, Phrases(answer), LabelOptions(paraphrases=2))
    assert segments(out)[0].paraphrases == ("Go through the door", "Pull the door open")


def test_a_told_goal_goes_to_every_segment(tmp_path):
    label([record(tmp_path / "raw", PLAY)], tmp_path / "out", Given("Explore the cellar"))
    assert {s.goal for s in segments(tmp_path / "out")} == {"Explore the cellar"}
    assert [s.last for s in (x.segment for x in segments(tmp_path / "out"))] == [False, False, True]


def test_an_episode_that_failed_needs_review(tmp_path):
    goals = [(0, "Go to the lantern", 50, "success"), (50, "Open the door", 100, "timeout")]
    result = label([record(tmp_path / "raw", [W] * 100, goals=goals)], tmp_path / "out", Given())
    assert [s.status for s in segments(tmp_path / "out")] == [LABELED, LABELED, NEEDS_REVIEW, NEEDS_REVIEW]
    assert "'timeout'" in segments(tmp_path / "out")[2].why
    assert result.needs_review == 2


def test_unreadable_sessions_are_reported_at_the_end_and_the_rest_is_done(tmp_path):
    raw = tmp_path / "raw"
    good = record(raw, PLAY, name="a", goals=GOALS)
    broken = record(raw, PLAY, name="b", goals=GOALS)
    (broken / "events.jsonl").write_text("rubbish\n")
    cut_off = record(raw, PLAY, name="c", goals=GOALS)
    frame_path(cut_off, 3).write_bytes(frame_path(cut_off, 3).read_bytes()[:200])
    unknown = record(raw, PLAY, name="d")
    last = record(raw, PLAY, name="e", goals=GOALS)
    result = label([good, broken, cut_off, unknown, last], tmp_path / "out", Given())
    assert result.exit_code == 1
    assert result.sessions == 2
    assert len(result.problems) == 3
    assert "events.jsonl:1" in result.problems[0]
    assert "000003.jpg: cut off" in result.problems[1]
    assert "no goal is stored in it; name one with --goal" in result.problems[2]
    assert {s.session for s in segments(tmp_path / "out")} == {"a", "e"}
    assert result.lines()[0] == "2 sessions: 6 segments, 200 samples"
    assert result.lines()[-1] == f"not labeled: {result.problems[-1]}"


def test_a_plain_video_gets_goals_but_no_samples(tmp_path):
    folder = record(tmp_path / "raw", [NONE] * 80, extra={"keys": False})
    labeler = Scripted(lambda n, _: "Build a pillar")
    result = label([folder], tmp_path / "out", labeler)
    assert result.exit_code == 0
    assert "the session has no keys (it was imported from a plain video)" in result.refused[0]
    assert "Keys held: not recorded." in labeler.asked[0].text
    for found in segments(tmp_path / "out"):
        assert (found.goal, found.status) == ("Build a pillar", NO_SAMPLES)
        assert not (tmp_path / "out" / found.name / "samples.jsonl").exists()
    with pytest.raises(UserError, match="cannot become samples"):
        approve(tmp_path / "out" / "s_seg000", "Build a pillar")


def test_short_sessions_are_asked_about_together(tmp_path):
    class OneCall(Scripted):
        calls = 0

        def answers(self, questions):
            type(self).calls += 1
            yield from super().answers(questions)

    folders = [record(tmp_path / "raw", [W] * 20, name=f"s{i}") for i in range(5)]
    label(folders, tmp_path / "out", OneCall(lambda n, _: "Open the door"))
    assert OneCall.calls == 1


def test_answers_given_before_a_failure_are_not_asked_for_again(tmp_path):
    class Dying(Scripted):
        def answers(self, questions):
            for i, answer in enumerate(super().answers(questions)):
                if i == 2:
                    raise BackendError("the server went away")
                yield answer

    folder, out = record(tmp_path / "raw", PLAY), tmp_path / "out"
    with pytest.raises(BackendError):
        label([folder], out, Dying(lambda n, _: "Open the door"))
    assert find_segments(out) == []
    rest = Scripted(lambda n, _: "Climb the stairs")
    label([folder], out, rest)
    assert len(rest.asked) == 1
    assert [s.goal for s in segments(out)] == ["Open the door", "Open the door", "Climb the stairs"]
    assert not (out / ".staging").exists()


def test_a_broken_record_or_segment_is_named(tmp_path):
    folder, out = record(tmp_path / "raw", PLAY, goals=GOALS), tmp_path / "out"
    label([folder], out, Given())
    (out / "s_seg001" / "segment.json").write_text("{")
    result = label([folder], out, Given())
    assert "segment.json: cannot be read" in result.problems[0]
    assert "label again" in result.problems[0]
    (out / "s.json").write_text("[]")
    with pytest.raises(UserError, match="--redo"):
        SessionRecord.load(out, "s")


@pytest.mark.parametrize("name", ["seconds", "horizon", "pictures"])
def test_impossible_options_are_refused_by_name(name):
    with pytest.raises(UserError, match=f"--{name} is 0"):
        LabelOptions(**{name: 0})  # pyright: ignore[reportArgumentType]


WORKER = """
import sys
from pathlib import Path
from protege.labeling import Given, LabelOptions, label
from protege.core.session import find_sessions
print("ready", flush=True)
label(find_sessions(Path(sys.argv[1])), Path(sys.argv[2]), Given(), LabelOptions(redo=len(sys.argv) > 3))
"""


def test_a_kill_at_any_moment_leaves_nothing_half_written(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    for n in range(6):
        record(raw, PLAY, name=f"s{n}", goals=GOALS)
    expected = tmp_path / "expected"
    started = time.monotonic()
    label(sorted(raw.iterdir()), expected, Given())
    needed = time.monotonic() - started
    chance = random.Random(1)
    kills = 0
    for n in range(12):
        redo = ["redo"] if n > 6 else []
        worker = subprocess.Popen([sys.executable, "-c", WORKER, raw, out, *redo], stdout=subprocess.PIPE)
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(chance.uniform(0, needed))
        worker.send_signal(signal.SIGKILL)
        kills += worker.wait() == -signal.SIGKILL
        worker.stdout.close()
        for path in find_segments(out):  # whatever is there is whole
            there = tree(expected / path.name)
            assert tree(path) == there
    assert kills >= 6
    label(sorted(raw.iterdir()), out, Given())
    assert tree(out) == tree(expected)


GOLDEN = """{
 "format_version": 1,
 "name": "s_seg000",
 "session": "s",
 "start": 0,
 "stop": 15,
 "goal": "Go to the lantern",
 "status": "labeled",
 "why": "",
 "by": "given",
 "paraphrases": [],
 "true_goal": "Go to the lantern",
 "goal_stop": 15,
 "reached": true,
 "frame_hz": 10.0,
 "prompt_version": 1,
 "shape": {
  "seconds": 4.0,
  "horizon": 7,
  "chords": false,
  "tau_ms": 0.0,
  "keep_idle": false,
  "join": false
 },
 "held": [
  [
   "w",
   8
  ],
  [
   "w+right",
   4
  ],
  [
   "none",
   3
  ]
 ],
 "slots": ["""


def test_a_segments_description_keeps_its_form_to_the_byte_and_says_where_its_frames_come_from(tmp_path):
    play = [W] * 8 + [HOLD["wr"]] * 4 + [NONE] * 3
    folder = record(tmp_path / "raw", play, goals=[(0, "Go to the lantern", 15, "success")])
    label([folder], tmp_path / "out", Given())
    text = (tmp_path / "out" / "s_seg000" / "segment.json").read_text()
    assert text.startswith(GOLDEN)
    fields = json.loads(text)
    assert list(fields)[-2:] == ["action_space", "origin"]
    (origin,) = fields["origin"]
    assert (origin["session"], origin["frames"], origin["shift_ns"]) == ("s", [0, 15], 0)
    digest = hashlib.sha256((tmp_path / "out" / "s_seg000" / "samples.jsonl").read_bytes()).hexdigest()
    assert digest == "f0dfaafbce96a34694a91dd27a87be3618fff6e927def4e5ed30bc9ac552af27"


def test_what_earlier_versions_wrote_is_still_read(tmp_path):
    label([record(tmp_path / "raw", [W] * 40)], tmp_path / "out", Given("Open the door"))
    path = tmp_path / "out" / "s_seg000" / "segment.json"
    fields = json.loads(path.read_text())
    del fields["origin"]
    path.write_text(json.dumps(fields, indent=1) + "\n")
    found = LabeledSegment.load(path.parent)
    assert found.origin == ()
    assert json.dumps(found.to_json(), indent=1) + "\n" == path.read_text()
