"""Labeled segments as a data set: lazy pictures, split by session, and in the formats of other tools."""

import io
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from protege.core import KEYBOARD_12
from protege.core.chat import Sample
from protege.errors import UserError
from protege.labeling import ExportOptions, Given, label, load
from protege.labeling.dataset import split_segments
from protege.labeling.export import TARGETS, export_folder
from tests.labeling.recordings import HOLD, picture, record

W = HOLD["w"]
QUESTION = "Goal: Open the door\n\nPredict the next 7 actions:"


def labeled(root, sessions=4):
    folders = [
        record(root / "raw", [W] * 45, name=f"s{i}", goals=[(0, "Open the door", 45, "success")])
        for i in range(sessions)
    ]
    label(folders, root / "out", Given())
    return root / "out"


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, protege.labeling; print([m for m in ('datasets','torch','ray','openai') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_pictures_are_decoded_only_when_they_are_looked_at(tmp_path):
    out = labeled(tmp_path)
    data = load(out)
    assert len(data) == 4 * 45
    for path in out.glob("*/frame_0001.jpg"):
        path.unlink()
    row = data[0]
    assert row["image"].size == (64, 48)
    assert row["prompt"] == QUESTION
    assert json.loads(row["completion"]) == {"actions": ["w"] * 7}
    assert row["actions"] == ["w"] * 7
    assert (row["session"], row["segment"], row["frame"], row["paraphrases"]) == ("s0", "s0_seg000", 0, [])
    with pytest.raises(FileNotFoundError):
        data[1]


def test_sessions_are_never_divided_and_the_seed_decides(tmp_path):
    out = labeled(tmp_path)
    train, held_out = load(out, "train"), load(out, "validation")
    assert set(train["session"]) & set(held_out["session"]) == set()
    assert len(train) + len(held_out) == 180
    assert load(out, "validation")["segment"] == held_out["segment"]
    assert {load(out, "validation", seed=s)["session"][0] for s in range(8)} > {held_out["session"][0]}


def test_one_session_is_only_divided_by_segment_when_that_is_allowed():
    one = [("s", f"s_seg{i:03d}", 10) for i in range(10)]
    with pytest.raises(UserError, match=r"only one session \(s\).*--allow-split-by-segment"):
        split_segments(one, seed=0, validation=0.1, allow_split_by_segment=False)
    train, held_out = split_segments(one, seed=0, validation=0.1, allow_split_by_segment=True)
    assert (len(train), len(held_out)) == (9, 1)
    two = [*one, ("t", "t_seg000", 10)]
    train, held_out = split_segments(two, seed=0, validation=0.1, allow_split_by_segment=True)
    assert held_out in ({s for _, s, _ in one}, {"t_seg000"})
    assert split_segments(two[::-1], seed=0, validation=0.1, allow_split_by_segment=True) == (train, held_out)
    assert len(split_segments(one, seed=0, validation=0.35, allow_split_by_segment=True)[1]) == 4
    with pytest.raises(UserError, match="only one segment"):
        split_segments(one[:1], seed=0, validation=0.1, allow_split_by_segment=True)
    with pytest.raises(UserError, match="between 0 and 1"):
        split_segments(two, seed=0, validation=1.5, allow_split_by_segment=True)


def test_what_cannot_be_trained_on_is_refused_with_the_reason(tmp_path):
    with pytest.raises(UserError, match="protege label"):
        load(tmp_path)
    folder = record(tmp_path / "raw", [HOLD["none"]] * 40, extra={"keys": False})
    label([folder], tmp_path / "out", Given("Build a pillar"))
    with pytest.raises(UserError, match="1 segments, none to train on: the session has no keys"):
        load(tmp_path / "out")


def test_a_damaged_samples_file_is_named(tmp_path):
    out = labeled(tmp_path)
    (out / "s0_seg000" / "samples.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"samples.jsonl:1: not a sample.* label again"):
        load(out)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def export(tmp_path, to, **kwargs):
    target = tmp_path / "elsewhere" / "export"
    counts = export_folder(labeled(tmp_path), target, ExportOptions(to=to, **kwargs))
    return counts, target


def test_jsonl_is_one_folder_that_needs_nothing_else(tmp_path):
    counts, target = export(tmp_path, "jsonl")
    assert sum(counts.values()) == 180
    found = lines(target / "train.jsonl") + lines(target / "validation.jsonl")
    assert len(found) == 180
    samples = [Sample.from_json(fields, KEYBOARD_12) for fields in found]
    assert all((target / s.image).read_bytes()[:2] == b"\xff\xd8" for s in samples)
    assert samples[0].goal == "Open the door"


def test_llama_factory_reads_its_documented_sharegpt_schema(tmp_path):
    """dataset_info.json names file, columns and tags; each <image> in a user's turn has a path in `images`."""
    counts, target = export(tmp_path, "llamafactory")
    info = json.loads((target / "dataset_info.json").read_text())
    assert list(info) == ["protege_train", "protege_validation"]
    text = ""
    for name, entry in info.items():
        assert entry["formatting"] == "sharegpt"
        rows = lines(target / entry["file_name"])
        assert len(rows) == counts[name.removeprefix("protege_")]
        for row in rows:
            turns = row[entry["columns"]["messages"]]
            tags = entry["tags"]
            assert [t[tags["role_tag"]] for t in turns] == [tags["user_tag"], tags["assistant_tag"]]
            text = turns[0][tags["content_tag"]]
            assert text.count("<image>") == len(row[entry["columns"]["images"]]) == 1
            assert (target / row["images"][0]).is_file()
    assert text == f"<image>{QUESTION}"


def test_swift_reads_its_documented_messages_schema(tmp_path):
    _, target = export(tmp_path, "swift")
    for row in lines(target / "train.jsonl"):
        assert set(row) == {"messages", "images"}
        assert [m["role"] for m in row["messages"]] == ["user", "assistant"]
        assert all(isinstance(m["content"], str) for m in row["messages"])
        assert row["messages"][0]["content"].count("<image>") == len(row["images"])
        assert (target / row["images"][0]).is_file()


def test_hf_is_parquet_with_the_pictures_inside(tmp_path):
    _, target = export(tmp_path, "hf")
    from datasets import load_dataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # datasets leaves its lock files to the garbage collector
        found = load_dataset(str(target), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in found.items()}.keys() == {"train", "validation"}
    row = found["train"][7]
    assert row["image"].size == (64, 48)
    assert row["goal"] == "Open the door"
    from PIL import Image

    assert list(row["image"].resize((2, 2)).tobytes()) == pytest.approx(
        list(Image.open(io.BytesIO(picture(7))).resize((2, 2)).tobytes()), abs=2
    )


@pytest.mark.parametrize("to", TARGETS)
def test_an_export_can_hold_everything_in_one_split(tmp_path, to):
    counts, target = export(tmp_path, to, validation=0)
    assert counts == {"train": 180}
    assert "180 samples for train" in (target / "README.md").read_text()


def test_an_export_never_writes_over_something_and_appears_whole(tmp_path, monkeypatch):
    out = labeled(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    with pytest.raises(UserError, match="already there; remove it or choose another place"):
        export_folder(out, tmp_path / "mine")
    with pytest.raises(UserError, match="--to onnx: unknown format; expected one of jsonl, hf"):
        export_folder(out, tmp_path / "new", ExportOptions(to="onnx"))  # pyright: ignore[reportArgumentType]
    (out / "s3_seg000" / "samples.jsonl").write_text("{}\n")
    with pytest.raises(UserError):
        export_folder(out, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not [p for p in Path(tmp_path).iterdir() if p.name.startswith(".")]
