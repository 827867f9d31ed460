"""Every command says what comes next, in one line that can be copied; quiet and JSON leave it out."""

import json
import shlex

import pytest

from protege import cli
from protege.commands.following import FOLLOWING, following
from protege.labeling import Given, label
from tests.labeling.recordings import HOLD, record
from tests.test_command_values import EVERY

W = HOLD["w"]
WORDS = {" ".join(words) for words, _ in EVERY}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A project with a labeled recording, as the current folder."""
    raw = tmp_path / "dataset" / "raw_playthrough"
    record(raw, [W] * 80)
    (tmp_path / "models").mkdir()
    label([raw / "s"], tmp_path / "dataset" / "labeled_segments", Given("Open the door"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_has_its_next_step():
    assert WORDS - FOLLOWING.keys() == set()
    assert FOLLOWING.keys() - WORDS == {"sessions"}  # a group that lists when nothing else is asked


@pytest.mark.parametrize(("words", "command"), [(" ".join(words), command) for words, command in EVERY])
def test_the_next_step_is_a_command_there_is(words, command):
    given = {param.name: None for param in command.params}
    given |= {"name": "doom", "model": "models/m", "folder": "models/tiny", "list_windows": False}
    line = following(words, given)
    if line is None:
        return
    program, *rest = shlex.split(line)
    assert program == "protege"
    assert any(" ".join(rest).startswith(name) for name in (*WORDS, "sessions"))


def said(capsys, *args):
    code = cli.run([str(arg) for arg in args])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out, err


def test_a_command_ends_with_its_next_step(here, capsys):
    assert said(capsys, "sessions")[1].splitlines()[-1] == "next: protege label"
    assert said(capsys, "review")[1].splitlines()[-1] == "next: protege report"
    assert said(capsys, "sessions", "trim", "s", "--from", "1")[1].splitlines()[-1] == "next: protege sessions"


def test_it_names_the_folder_that_was_given(here, capsys):
    out = here / "my labels"
    line = said(capsys, "label", "--goal", "Open the door", "--out", out)[1].splitlines()[-1]
    assert shlex.split(line) == ["next:", "protege", "review", "--in", "my labels"]


def test_where_nothing_is_recorded_yet_that_comes_next(tmp_path, capsys):
    assert said(capsys, "sessions", "--in", str(tmp_path))[1].splitlines()[-1] == "next: protege record"


@pytest.mark.parametrize("args", [["--quiet", "sessions"], ["sessions", "--quiet"]])
def test_quiet_leaves_it_out(here, capsys, args):
    assert said(capsys, *args)[1] == ""


def test_json_leaves_it_out(here, capsys):
    out, err = said(capsys, "controls", "synth", "--recordings", "1", "--frames", "30", "--out", "npz")
    (path,) = (here / "npz").glob("*.npz")
    out, err = said(capsys, "controls", "inspect", path, "--json")
    assert json.loads(out)
    assert "next:" not in err


def test_a_command_that_failed_says_what_is_wrong_and_nothing_else(here, capsys):
    assert cli.run(["review", "nothing", "--goal", "Open the door"]) == 2
    assert "next:" not in capsys.readouterr().err


def test_without_a_command_it_says_where_one_is(here, capsys):
    lines = said(capsys)[0].splitlines()
    assert [line.split()[0] for line in lines] == ["recordings", "labeled", "models", "runs", "next:"]
    assert "2 segments, 1 goals, 0 waiting" in lines[1]
    assert lines[-1] == "next: protege train"
