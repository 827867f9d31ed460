"""What stands in labeled data is data: names, counts, types and files that nobody wrote honestly are one line each."""

import json
import os
import shutil

import pytest

from protege.core.labeled import LabeledSegment, find_segments
from protege.errors import UserError
from protege.labeling import ExportOptions, Given, LabelOptions, approve, label
from protege.labeling.dataset import load, trainable
from protege.labeling.export import export_folder
from protege.labeling.report import write_report
from protege.labeling.store import SessionRecord
from protege.training.data import LabeledData
from tests.labeling.recordings import HOLD, record
from tests.labeling.test_label import tree

W = HOLD["w"]
GOAL = "Open the door"


@pytest.fixture
def out(tmp_path):
    label([record(tmp_path / "raw", [W] * 80)], tmp_path / "out", Given(GOAL))
    return tmp_path / "out"


def change(path, **fields):
    """Other fields in a JSON file; dots name what lies deeper."""
    found = json.loads(path.read_text())
    for name, value in fields.items():
        *above, last = name.split("__")
        place = found
        for part in above:
            place = place[part]
        place[last] = value
    path.write_text(json.dumps(found))


def readers(out):
    """Everything that reads a folder of labeled segments."""
    yield lambda: approve(out / "s_seg000", "Close the door")
    yield lambda: write_report(out)
    yield lambda: export_folder(out, out.parent / "export", ExportOptions(validation=0))
    yield lambda: trainable(out)
    yield lambda: LabeledData.open(out)


BAD = {
    "name elsewhere": ({"name": "../../precious"}, "segment.json: name is '../../precious'"),
    "another name": ({"name": "s_seg001"}, "segment.json: name is 's_seg001', but its folder is 's_seg000'"),
    "no name": ({"name": None}, "segment.json: name is None"),
    "session elsewhere": ({"session": "../s"}, "segment.json: session is '../s'"),
    "session of a drive": ({"session": "C:s"}, "session is 'C:s'"),
    "many slots": ({"slots": [["w", 1_000_000_000]]}, r"\['w', 1000000000\] among the keys of 47 frames"),
    "endless": ({"stop": 10**18, "goal_stop": 10**18}, "stop is 1000000000000000000"),
    "more frames than pictures": ({"stop": 10**9, "goal_stop": 10**9}, "40 pictures are there|not cover its frames"),
    "a long horizon": ({"shape__horizon": 10**9}, "horizon is 1000000000"),
    "no start": ({"start": None}, "start is None"),
    "a text as goal_stop": ({"goal_stop": "40"}, "goal_stop is '40'"),
    "goal": ({"goal": 3}, "goal is 3"),
    "why": ({"why": []}, "why is"),
    "true_goal": ({"true_goal": {}}, "true_goal is"),
    "status": ({"status": ["labeled"]}, "status is"),
    "paraphrases": ({"paraphrases": [3]}, "paraphrases is"),
    "shape": ({"shape": [1]}, "cannot be read"),
    "seconds": ({"shape__seconds": "4"}, "seconds is '4'"),
    "frame_hz": ({"frame_hz": 0}, "frame_hz is 0"),
    "version": ({"format_version": "x"}, "format version 'x'"),
    "space": ({"action_space__keys": "wsad"}, "cannot be read"),
    "keys": ({"action_space__keys": [1, 2, "none"]}, "an action space has a name and a list of keys"),
    "origin": ({"origin": [{"start": 0}]}, "not an origin"),
    "part of an origin": ({"origin": []}, None),
    "lone surrogate": ({"goal": "Open \ud800"}, "lone surrogate"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), BAD.values(), ids=BAD)
def test_a_field_that_cannot_be_is_named_by_every_reader_and_nothing_is_touched(out, tmp_path, fields, message):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "x").write_text("x")
    change(out / "s_seg000" / "segment.json", **fields)
    before = tree(tmp_path)
    for read in readers(out):
        if message is None:
            read()
            continue
        with pytest.raises(UserError, match=message) as caught:
            read()
        assert "segment.json" in str(caught.value)
        assert tree(tmp_path) == before


def test_deep_json_and_pipes_and_devices_are_one_line(out):
    path = out / "s_seg000" / "segment.json"
    whole = path.read_text()
    for text in ("[" * 100_000, '{"name": ' * 50_000, "[]", "3", "null", "", "\ud800".encode("utf-8", "surrogatepass")):
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        for read in readers(out):
            with pytest.raises(UserError, match=r"segment.json"):
                read()
    for name in ("segment.json", "samples.jsonl"):
        for make in (os.mkfifo, lambda p: p.symlink_to("/dev/zero"), lambda p: p.mkdir()):
            path.unlink() if path.exists() and not path.is_dir() else None
            path.write_text(whole)
            bad = out / "s_seg000" / name
            bad.unlink()
            make(bad)
            with pytest.raises(UserError, match=f"{name}: cannot be read"):
                load(out)
            with pytest.raises(UserError, match=f"{name}: cannot be read|no labeled data"):
                LabeledData.open(out / "s_seg000") if name == "samples.jsonl" else LabeledSegment.load(bad.parent)
            bad.rmdir() if bad.is_dir() else bad.unlink()
            path.write_text(whole)
            (out / "s_seg000" / "samples.jsonl").touch()


@pytest.mark.parametrize("image", ["../frame_0000.jpg", "/etc/hostname", "..", "a/b.jpg", "x\\y.jpg", "C:x.jpg"])
def test_a_sample_whose_picture_lies_elsewhere_is_refused(out, tmp_path, image):
    path = out / "s_seg000" / "samples.jsonl"
    path.write_text(path.read_text().replace("frame_0000.jpg", image.replace("\\", "\\\\")))
    for read in (
        lambda: export_folder(out, tmp_path / "export", ExportOptions(validation=0)),
        lambda: LabeledData.open(out),
    ):
        with pytest.raises(UserError, match=r"samples.jsonl: the image of line 1 is .*expected a plain name"):
            read()
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    "line",
    [
        '{"messages": 3}',
        '{"messages": [{"content": 3}, {"content": 3}]}',
        "[" * 2000,
        "NaN",
        '{"messages": []}',
        '"\\ud800"',
    ],
)
def test_a_line_that_is_no_sample_is_named(out, line):
    (out / "s_seg000" / "samples.jsonl").write_text(line + "\n")
    for read in (lambda: load(out), lambda: LabeledData.open(out)):
        with pytest.raises(UserError, match=r"samples.jsonl:1: "):
            read()


@pytest.mark.parametrize("content", ["3", "[]", '{"actions": 7}', '{"actions": [1,1,1,1,1,1,1]}', '{"actions": "w"}'])
def test_an_answer_of_another_type_is_named(out, content):
    path = out / "s_seg000" / "samples.jsonl"
    fields = json.loads(path.read_text().splitlines()[0])
    for said in (content, json.loads(content)):
        fields["messages"][1]["content"] = said
        path.write_text(json.dumps(fields) + "\n")
        with pytest.raises(UserError, match=r"samples.jsonl:1: "):
            LabeledData.open(out)


def test_a_copied_segment_is_not_taken_for_the_original(out):
    shutil.copytree(out / "s_seg000", out / "backup")
    before = tree(out)
    with pytest.raises(UserError, match="name is 's_seg000', but its folder is 'backup'"):
        approve(out / "backup", "Close the door")
    assert tree(out) == before


@pytest.mark.parametrize(
    ("picture", "message"), [(b"%!PS-Adobe-3.0\n\xff\xd9", "not a JPEG"), (b"\xff\xd8\xff" + bytes(100), "cut off")]
)
def test_a_picture_that_is_none_is_neither_exported_nor_opened(out, tmp_path, picture, message):
    path = out / "s_seg000" / "frame_0003.jpg"
    path.unlink()
    path.write_bytes(picture)
    for read in (lambda: export_folder(out, tmp_path / "export", ExportOptions(validation=0)), lambda: load(out)):
        with pytest.raises(UserError, match=f"frame_0003.jpg: {message}"):
            read()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match=r"frame_0003.jpg: cannot be read .*a pipe"):
        load(out)
    assert write_report(out).measured.frames == 80


def test_an_export_holds_no_links_to_what_lies_elsewhere(out, tmp_path):
    path = out / "s_seg000" / "frame_0003.jpg"
    path.rename(tmp_path / "elsewhere.jpg")
    path.symlink_to(tmp_path / "elsewhere.jpg")
    export_folder(out, tmp_path / "export", ExportOptions(validation=0))
    copy = tmp_path / "export" / "images" / "s_seg000" / "frame_0003.jpg"
    assert copy.is_file()
    assert not copy.is_symlink()


RECORDS = [
    ({"session": "../precious"}, "session is '../precious'"),
    ({"frames": "80"}, "a count is no whole number"),
    ({"aside": [3]}, "cannot be read"),
    ({"aside": [{"start": 0, "stop": 1, "why": []}]}, "was not set aside by us"),
    ({"folder": None}, "folder, by or refused is no text"),
    ({"shape": {"horizon": "x"}}, "horizon is 'x'"),
    ({"format_version": 9}, "format version 9"),
]


@pytest.mark.parametrize(("fields", "message"), RECORDS)
def test_a_session_s_record_is_believed_no_more_than_its_segments(out, tmp_path, fields, message):
    change(out / "s.json", **fields)
    with pytest.raises(UserError, match=rf"s\.json: .*{message}"):
        SessionRecord.load(out, "s")
    assert message.replace("\\", "") in label([tmp_path / "raw" / "s"], out, Given(GOAL)).problems[0]
    assert label([tmp_path / "raw" / "s"], out, Given(GOAL), LabelOptions(redo=True)).problems == []


@pytest.mark.parametrize("folder", ["/etc", "//evil/share/other", "..", ""])
def test_a_record_that_names_another_folder_than_its_recording_is_not_followed(out, folder):
    change(out / "s.json", folder=folder)
    record = SessionRecord.load(out, "s")
    assert record is not None
    assert record.recording is None
    assert write_report(out).contents.sessions[0].reasons is None


@pytest.mark.parametrize(
    "options", [{"seconds": float("nan")}, {"seconds": 1e300}, {"tau_ms": float("inf")}, {"pictures": 10**9}]
)
def test_impossible_numbers_are_refused_by_name(options):
    with pytest.raises(UserError, match=f"--{next(iter(options)).replace('_', '-')} is"):
        LabelOptions(**options)


def test_a_clock_that_jumps_by_a_century_costs_nothing(tmp_path):
    folder = record(tmp_path / "raw", [W] * 30)
    lines = (folder / "frames.jsonl").read_text().splitlines()
    lines[-1] = '{"i": 29, "t_ns": 3999999999999999999}'
    (folder / "frames.jsonl").write_text("\n".join(lines) + "\n")
    assert len(label([folder], tmp_path / "out", Given(GOAL)).problems) <= 1
    assert len(find_segments(tmp_path / "out")) <= 2
