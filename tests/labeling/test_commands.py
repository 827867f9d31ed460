"""The commands of labeling: one writer at a time, nothing lost by a kill, no silence, no key sent to a stranger."""

import json
import os
import re
import socket

import pytest

from protege import cli
from protege.core.files import hidden, locked
from protege.core.labeled import NEEDS_REVIEW, LabeledSegment, find_segments
from protege.labeling import Given, LabelOptions, approve, label
from protege.training.data import LabeledData
from tests.labeling.recordings import HOLD, record
from tests.labeling.server import serving
from tests.labeling.test_label import tree

W = HOLD["w"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A project with one recording, as the current folder."""
    record(tmp_path / "dataset" / "raw_playthrough", [W] * 80)
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path


def run(capsys, *args):
    """(exit code, stdout, stderr) of a command."""
    code = cli.run([str(arg) for arg in args])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    "args",
    [
        ("label", "--goal", "Open the door"),
        ("review", "s_seg000", "--goal", "Close the door"),
    ],
)
def test_a_second_writer_ends_with_2_and_says_who_is_first(here, capsys, args):
    out = here / "dataset" / "labeled_segments"
    label([here / "dataset" / "raw_playthrough" / "s"], out, Given("Open the door"))
    before = tree(out)
    with locked(out, "protege label"):
        code, _, err = run(capsys, *args)
    assert code == 2
    assert re.search(rf"labeled_segments: protege label \(process {os.getpid()}, since .*\) is writing here", err)
    assert tree(out) == before


def test_two_exports_into_one_folder_are_one_too_many(here, capsys):
    label([here / "dataset" / "raw_playthrough" / "s"], here / "dataset" / "labeled_segments", Given("Open the door"))
    with locked(here / "mine", "protege export"):
        code, _, err = run(capsys, "export", "--out", "mine", "--validation", "0")
    assert (code, (here / "mine").exists()) == (2, False)
    assert "mine: protege export (process" in err
    assert run(capsys, "export", "--out", "mine", "--validation", "0")[0] == 0


def test_a_review_that_was_killed_between_its_two_renames_loses_nothing(here, capsys):
    out = here / "dataset" / "labeled_segments"
    label([here / "dataset" / "raw_playthrough" / "s"], out, Given("Open the door"))
    approve(out / "s_seg000", "Close the door")
    whole = tree(out)
    (out / "s_seg000").rename(hidden(out / "s_seg000", "old"))
    hidden(out / "s_seg001", "part").mkdir()
    label([here / "dataset" / "raw_playthrough" / "s"], out, Given("Close the door"))
    assert tree(out) == whole


def test_a_kill_during_redo_keeps_what_was_approved(here):
    class Dying:
        name = "dying"

        def answers(self, questions):
            raise KeyboardInterrupt
            yield

    out, session = here / "dataset" / "labeled_segments", here / "dataset" / "raw_playthrough" / "s"
    label([session], out, Given("Open the door"))
    approve(out / "s_seg000", "Close the door")
    before = tree(out)
    with pytest.raises(KeyboardInterrupt):
        label([session], out, Dying(), LabelOptions(redo=True))
    assert tree(out) == before


def test_another_goal_for_labeled_data_says_what_to_do(here, capsys):
    assert run(capsys, "label", "--goal", "Open the door")[0] == 0
    code, out, _ = run(capsys, "label", "--goal", "Open the door")
    assert code == 0
    assert "(1 done before; --redo labels them again)" in out
    before = tree(here / "dataset" / "labeled_segments")
    code, _, err = run(capsys, "label", "--session", "s", "--goal", "Find the exit")
    assert code == 1
    assert 's: labeled before, as "Open the door"; replace that with --redo' in err
    assert tree(here / "dataset" / "labeled_segments") == before
    assert run(capsys, "label", "--session", "s", "--goal", "Find the exit", "--redo")[0] == 0
    assert {LabeledSegment.load(p).goal for p in find_segments(here / "dataset" / "labeled_segments")} == {
        "Find the exit"
    }


def test_a_failed_run_leaves_nothing_that_hides_the_recordings(here, capsys):
    assert run(capsys, "label", "--backend", "openai", "--url", "http://127.0.0.1:1/v1", "--retries", "0")[0] == 1
    assert not (here / "dataset" / "labeled_segments").exists()
    code, out, _ = run(capsys, "report")
    assert code == 0
    assert "not labeled yet" in out
    (here / "dataset" / "labeled_segments" / ".staging").mkdir(parents=True)
    assert run(capsys, "report")[0] == 0


def test_labeling_says_first_what_it_will_ask_whom(here, capsys):
    with serving(lambda n, _: "Open the door") as (chat, url):
        code, _, err = run(capsys, "label", "--backend", "openai", "--url", url, "--model", "m")
    assert code == 0
    assert re.search(r"^asking \S*m\S* about (\d+) segments", err), err
    assert f"about {len(chat.keys)} segments" in err


def test_a_key_in_the_environment_is_sent_only_to_a_server_that_was_named(here, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-somebody-else")
    with serving(lambda n, _: "Open the door") as (chat, url):
        assert run(capsys, "label", "--backend", "openai", "--url", url, "--model", "m")[0] == 0
    assert set(chat.keys) == {"Bearer sk-for-somebody-else"}


def test_a_key_in_the_environment_is_not_sent_to_the_server_that_is_guessed(here, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-somebody-else")
    heard = []
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", 8000))
        except OSError:
            pytest.skip("port 8000 is taken")
        listening.listen()
        listening.settimeout(60)
        import threading

        def answer():
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(1 << 16))
                connection.sendall(b"HTTP/1.1 404 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert run(capsys, "label", "--backend", "openai", "--retries", "0")[0] == 1
        thread.join(60)
    assert b"HTTP/1.1" in heard[0]
    assert b"sk-for-somebody-else" not in heard[0]


def test_without_a_gpu_the_ways_that_work_are_named_before_anything_is_loaded(here, capsys):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    code, _, err = run(capsys, "label")
    assert code == 2
    for way in ("no GPU here", "--goal", "--backend openai --url", "protege tiny-base", "a segment"):
        assert way in err


@pytest.mark.parametrize(
    "line",
    [
        "export --out x --cut nan --to zarr",
        "export --out x --validation nan",
        "label --seconds nan",
        "label --timeout inf --backend openai",
        "label --tau-ms nan --goal Go",
        "label --backend openai --url http://127.0.0.1:99999/v1",
        "label --pictures 1000000000 --goal Go",
    ],
)
def test_an_impossible_value_is_one_line(here, capsys, line):
    code, out, err = run(capsys, *line.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "defect" not in err


@pytest.mark.parametrize("goal", ["", "  ", "Open\nthe door", "Open \x1b[31m door", "Open \udcff", "x" * 300])
def test_a_goal_that_is_no_text_is_one_line(here, capsys, goal):
    code, _, err = run(capsys, "label", "--goal", goal)
    assert code == 2
    assert "is not a goal" in err


def test_nothing_from_outside_steers_the_terminal(here, capsys):
    evil = "Open \x1b]0;owned\x07the door\u202e"
    record(here / "dataset" / "raw_playthrough", [W] * 40, name="t", goals=[(0, evil, 40, "success")])
    run(capsys, "label", "--backend", "given")
    path = here / "dataset" / "labeled_segments" / "t_seg000" / "segment.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "status": "labeled", "why": "bad \x1b[31m answer\r"}))
    texts = [*run(capsys, "report")[1:]]
    path.write_text(json.dumps({**fields, "why": "bad \x1b[31m answer\r"}))
    texts += [*run(capsys, "review")[1:], *run(capsys, "label", "--goal", "Find the exit")[1:]]
    texts += [*run(capsys, "export", "--out", "\x1b[31mx")[1:]]
    for text in texts:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_a_correction_counts_also_where_the_run_was_stopped_during_it(tmp_path):
    from protege.core import SessionInfo, SessionWriter
    from protege.core.events import Control, End, Goal, Held, Key
    from tests.labeling.recordings import PERIOD, picture

    writer = SessionWriter.create(tmp_path / "runs", SessionInfo(frame_size=(64, 48)), "run")
    for event in (
        Held(0, frozenset()), Control(0, "agent"), Goal(0, "Go to the lantern"),
        Control(20 * PERIOD, "human"), Key(20 * PERIOD, "left", True), End(60 * PERIOD, "stopped by hand"),
    ):  # fmt: skip
        writer.event(event)
    for i in range(60):
        writer.frame(i * PERIOD, picture(i))
    label([writer.finish()], tmp_path / "out", Given())
    (found,) = [LabeledSegment.load(path) for path in find_segments(tmp_path / "out")]
    assert (found.status, found.reached, found.start) == ("labeled", False, 20)
    data = LabeledData.open(tmp_path / "out")
    assert len(data) == 40 - 6
    assert set(data.goals) == {"Go to the lantern"}
    assert found.status != NEEDS_REVIEW
