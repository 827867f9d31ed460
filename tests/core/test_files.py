"""What is read is not believed, what is written is whole, and one command writes at a time."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.core import files
from protege.errors import UserError


@pytest.mark.parametrize(
    "name",
    [
        *("../up", "a/b", "a\\b", "/root", "C:", "..", ".", "", "a\0b", 7, None, "\ud800", "x" * 300),
        *("nul", "CON", "com1.txt", "Lpt9 .a", "aux.tar.gz", "ends.", "ends "),  # Windows has these for itself
    ],
)
def test_a_name_that_is_no_plain_component_is_refused_with_its_file_and_field(tmp_path, name):
    with pytest.raises(UserError, match=r"segment\.json: name is .* expected a plain name"):
        files.component(tmp_path, name, tmp_path / "segment.json", "name")


@given(st.text(max_size=40))
def test_a_component_stays_inside_its_folder(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    if files.is_component(name):
        assert (folder / name).resolve().parent == folder.resolve()


def test_a_folder_that_was_copied_under_another_name_is_refused(tmp_path):
    folder = tmp_path / "backup"
    with pytest.raises(UserError, match="name is 'seg000', but its folder is 'backup'"):
        files.own_name(folder, "seg000", folder / "segment.json", "name")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "deep"),
        ('"\\ud800"', "surrogate"),
        ('{"a": NaN}', "NaN"),
        ("1" * 5000, "digits"),
        ("{", "line 1"),
    ],
)
def test_json_that_would_break_a_reader_is_a_value_error_in_words(tmp_path, text, why):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=why):
        files.read_json(path)


def test_only_regular_files_of_bounded_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(bytes(100))
    for name, why in (
        ("pipe", "a pipe"),
        ("zero", "a device"),
        (".", "a folder"),
        ("large", "100 bytes, expected at most 10"),
    ):
        with pytest.raises(ValueError, match=why):
            files.read_bytes(tmp_path / name, most=10)


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "first")
    with pytest.raises(FileNotFoundError), files.replacing(path) as beside:
        beside.write_text("half" + (tmp_path / "missing").read_text())
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_two_writers_of_one_file_do_not_share_a_staging_name(tmp_path):
    with files.replacing(tmp_path / "a") as one, files.replacing(tmp_path / "a") as two:
        assert one != two
        one.write_text("1")
        two.write_text("2")
    assert (tmp_path / "a").read_text() == "1"


def test_a_staged_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(FileNotFoundError), files.staged(tmp_path / "out", "t") as part:
        (part / "a").write_text("1" + (tmp_path / "missing").read_text())
    assert list(tmp_path.iterdir()) == []
    with files.staged(tmp_path / "out", "t") as part:
        (part / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    with (
        pytest.raises(UserError, match="out: already there; delete it"),
        files.staged(tmp_path / "out", "t", already="delete it"),
    ):
        pass
    with files.staged(tmp_path / "out", "t", replace=True) as part:
        (part / "b").write_text("2")
        assert (tmp_path / "out" / "a").exists()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_made_meanwhile_is_not_overwritten(tmp_path):
    with pytest.raises(UserError, match="made by another program"), files.staged(tmp_path / "out", "t"):
        (tmp_path / "out").mkdir()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


HOLD = """
import sys
from pathlib import Path
from protege.core import files
with files.locked(Path(sys.argv[1]), "protege train"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_command_is_told_who_writes_here_and_a_kill_lets_go(tmp_path):
    folder = tmp_path / "model"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(files.Locked, match=rf"protege train \(process {other.pid}, since .*\) is writing here"),
            files.locked(folder, "protege score"),
        ):
            pass
        other.kill()
    with files.locked(folder, "protege score"):
        assert json.loads((tmp_path / ".model.lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_the_next_writer_clears_away_what_a_kill_left_and_brings_back_what_was_giving_way(tmp_path):
    (tmp_path / ".out.1-aa.part").mkdir()
    (tmp_path / ".out.1-aa.old").mkdir()
    (tmp_path / ".out.1-aa.old" / "days of work").touch()
    with pytest.raises(UserError, match="already there"), files.staged(tmp_path / "out", "t"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "days of work").exists()
