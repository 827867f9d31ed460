"""Edits that go wrong: mistakes, kills at any moment, two at once, damaged recordings; nothing is lost or half done."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from protege.core import ActionSpace, Session, SessionInfo, SessionWriter
from protege.core.files import Locked, locked
from protege.core.session import check, find_sessions
from protege.errors import UserError
from protege.recorder.editing import delete, delete_all, merge, split, trim
from tests.full_disk import COMMAND, limited
from tests.recorder.test_editing import JPEG, PERIOD, record


def other(**info):
    return lambda root: record(root, "b", **info)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (other(space=ActionSpace("MINE", ("q", "none"))), r"action space MINE \(q none\), but a has KEYBOARD_12"),
        (other(frame_hz=30), "frame rate 30 Hz, but a has 10 Hz; merge only recordings of one form"),
    ],
)
def test_recordings_of_different_form_are_not_merged(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        merge([record(tmp_path, "a"), make(tmp_path)], "c")
    assert not (tmp_path / "c").exists()


def test_recordings_of_different_frame_size_are_not_merged(tmp_path):
    a, b = record(tmp_path, "a"), record(tmp_path, "b")
    replace(Session.open(b).info, frame_size=(64, 48)).save(b)
    with pytest.raises(UserError, match="frame size 64x48, but a has 32x24"):
        merge([a, b], "c")


def live(folder):
    replace(Session.open(folder).info, status="recording").save(folder)


MISTAKES = {
    "nothing between": (lambda f: trim(f, 5, 6), r"no frame between 5 s and 6 s; it is 1.0 s long"),
    "after the end": (lambda f: trim(f, 5), r"no frame between 5 s and the end"),
    "no cut": (lambda f: split(f, []), "cannot be split at nothing"),
    "cut outside": (lambda f: split(f, [0.5, 7]), "cannot be split at 0.5 7, a part would have no frame"),
    "one to merge": (lambda f: merge([f], "c"), "at least two recordings, got 1"),
    "bad name": (lambda f: merge([f, f], "../c"), "--name '../c': expected a short folder name"),
    "no name": (lambda f: merge([f, f], ""), "--name '': expected a short folder name"),
    "a blank name": (lambda f: merge([f, f], " "), "--name ' ': expected a short folder name"),
    "a folder in the name": (lambda f: merge([f, f], "a/"), "--name 'a/': expected a short folder name"),
    "twice, replaced": (lambda f: merge([f, f], "c", replace=True), "named twice; with --replace each can be merged"),
    "twice by two names": (
        lambda f: merge([f, f / "frames" / ".."], "c", replace=True),
        "named twice; with --replace each can be merged",
    ),
    "one good, one not there": (lambda f: delete_all([f, f / "no"]), "no recording here"),
    "purging one good, one not there": (lambda f: delete_all([f, f / "no"], purge=True), "no recording here"),
    "deleted twice": (lambda f: delete_all([f, f]), "named twice; name each recording once"),
    "name taken": (lambda f: merge([f, f], "s"), "already there; delete it with"),
    "not there": (lambda f: trim(f / "no", 0), "no recording here"),
    "being recorded": (lambda f: (live(f), trim(f, 0)), "still being recorded, or cut off; stop the recorder"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_and_leaves_everything_as_it_was(tmp_path, mistake):
    act, message = MISTAKES[mistake]
    record(tmp_path)
    with pytest.raises(UserError, match=message):
        act(tmp_path / "s")
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_a_missing_picture_stops_an_edit_and_nothing_half_written_remains(tmp_path):
    folder = record(tmp_path)
    (folder / "frames/000007.jpg").unlink()
    with pytest.raises(UserError, match=r"000007.jpg: missing; repair with: protege doctor .*/s --repair"):
        split(folder, [0.5])
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def killed_at(step, edit):
    """Do an edit in a process that is killed at its step-th change of the disk; whether it was."""
    pid = os.fork()
    if pid == 0:
        left = step

        def count(event, args):
            nonlocal left
            changes = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir"}
            if event in changes or (event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            edit()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def shown(root):
    """(name, frames) of every recording, as a listing finds them, and of those in the trash."""
    trash = root / ".trash"
    return [
        {folder.name: len(Session.open(folder)) for folder in find_sessions(where)} if where.is_dir() else {}
        for where in (root, trash)
    ]


KILLS = {
    "split": (lambda root: split(root / "a", [0.1]), {"a": 2, "b": 2, "a_1": 1, "a_2": 1}, {}),
    "split and replace": (lambda root: split(root / "a", [0.1], replace=True), {"b": 2, "a_1": 1, "a_2": 1}, {"a": 2}),
    "trim and replace": (lambda root: trim(root / "a", 0.1, replace=True), {"a": 1, "b": 2}, {"a": 2}),
    "merge and replace": (
        lambda root: merge([root / "a", root / "b"], "a", replace=True),
        {"a": 4},
        {"a": 2, "b": 2},
    ),
}


@pytest.mark.parametrize("how", KILLS)
def test_an_edit_killed_at_any_moment_happens_wholly_or_not_at_all_and_once(tmp_path, how):
    """After every second kill somebody lists the recordings, after the others the same command is given again."""
    edit, after, trash = KILLS[how]
    listed, given_again = set(), 0
    killed, step = True, 0
    while killed:
        step += 1
        root = tmp_path / str(step)
        for name in ("a", "b"):
            record(root, name, times=(0, PERIOD))
        killed = killed_at(step, lambda root=root: edit(root))
        decided = bool(list(root.glob(".*.edit/plan.json")))
        if not killed or (decided and step % 2):
            assert shown(root) == [after, trash]
            listed.add("after")
            continue
        if not decided and (found := shown(root))[0] == after:  # killed at its very end
            assert found == [after, trash]
            continue
        if step % 2:
            assert shown(root) == [{"a": 2, "b": 2}, {}]
            listed.add("before")
        given_again += decided
        edit(root)
        assert shown(root) == [after, trash]
        assert {p.name for p in root.iterdir()} <= {*after, ".trash"}
    assert listed == {"before", "after"}
    assert given_again


MERGE = "import sys; from protege.cli import main; main()"


def test_two_merges_into_one_name_at_once_give_one_recording(tmp_path):
    a, b = record(tmp_path, "a", range(0, 300 * PERIOD, PERIOD)), record(tmp_path, "b")
    command = [sys.executable, "-c", MERGE, "sessions", "merge", str(a), str(b), "--name", "c"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    lost = next(line for process, line in zip(both, said, strict=True) if process.returncode)
    assert "is writing here; wait for it" in lost or "already there" in lost
    assert check(tmp_path / "c") == []
    assert {p.name for p in tmp_path.iterdir()} == {"a", "b", "c"}


def test_while_one_edits_another_is_told_who_and_nothing_is_deleted(tmp_path):
    folder = record(tmp_path)
    with locked(tmp_path, "protege sessions merge"):
        for act in (lambda: trim(folder, 0.5), lambda: split(folder, [0.5]), lambda: delete(folder)):
            with pytest.raises(Locked, match=r"protege sessions merge \(process .*\) is writing here; wait for it"):
                act()
        assert find_sessions(tmp_path) == [folder]
    assert delete(folder) == tmp_path / ".trash" / "s"


def test_a_session_that_is_being_recorded_is_neither_edited_nor_deleted(tmp_path):
    writer = SessionWriter(tmp_path / "s", SessionInfo(frame_size=(32, 24)))
    writer.frame(0, JPEG)
    other = record(tmp_path, "b")
    for act in (
        lambda: trim(writer.folder, 0, replace=True),
        lambda: merge([other, writer.folder], "c", replace=True),
        lambda: delete(writer.folder),
        lambda: delete_all([other, writer.folder], purge=True),
    ):
        with pytest.raises(UserError, match="still being recorded"):
            act()
    assert [p.name for p in find_sessions(tmp_path)] == ["b", "s"]
    writer.finish()


def test_merging_and_replacing_needs_recordings_of_one_folder(tmp_path):
    a, b = record(tmp_path, "a"), record(tmp_path / "else", "b")
    with pytest.raises(UserError, match=r"else/b: not beside .*/a; with --replace merge only recordings of one folder"):
        merge([a, b], "c", replace=True)


def test_a_link_to_a_device_in_a_pictures_place_is_not_copied(tmp_path):
    folder = record(tmp_path)
    path = folder / "frames" / "000007.jpg"
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"000007.jpg: not a regular file but a device; repair with"):
        trim(folder, 0.5)


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    folder = record(tmp_path)
    out = limited(tmp_path, COMMAND, "sessions", "trim", str(folder), "--from", "0.5", limit=300)
    assert out.returncode == 1
    assert out.stderr.count("\n") == 1
    assert str(tmp_path) in out.stderr
    assert "File too large" in out.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
