"""The demo replaces only what the demo has made, and leaves nothing behind when it is stopped."""

import os
import signal
import subprocess
import sys
import time

import pytest

from protege import demo
from protege.devices.x11 import keys_down
from protege.errors import UserError
from protege.play import Session, SessionInfo, SessionWriter, encode_jpeg
from protege.play.actions import KEYBOARD_12
from protege.play.session import check

pytestmark = pytest.mark.usefixtures("xvfb")


def recording(folder, **extra):
    import numpy as np

    writer = SessionWriter(folder, SessionInfo(frame_size=(32, 24), extra=extra))
    writer.frame(0, encode_jpeg(np.zeros((24, 32, 3), np.uint8)))
    return writer.finish()


def thesis(folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("ten years of work")


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("occupy", [thesis, recording])
def test_what_the_demo_did_not_make_stays_and_is_named(tmp_path, occupy):
    out = tmp_path / "raw"
    out.mkdir()
    thesis(tmp_path / ".demo")
    occupy(out / "demo")
    before = files(tmp_path)
    with pytest.raises(UserError, match="demo: not a recording of the demo, so it stays; rename it, or give another"):
        demo.record(out, 2.0)
    assert files(tmp_path) == before


def test_it_replaces_its_own_recording_which_goes_to_the_trash(tmp_path):
    out = tmp_path / "raw"
    out.mkdir()
    recording(out / "demo", demo=True, number=1)
    thesis(tmp_path / ".demo")
    made = demo.record(out, 3.0)
    session = Session.open(made.session)
    assert session.info.extra == {**session.info.extra, "demo": True}
    assert "number" not in session.info.extra
    assert session.info.verdict is not None
    assert made.goals >= 1
    assert check(made.session) == []
    assert SessionInfo.load(out / ".trash" / "demo").extra["number"] == 1
    assert sorted(path.name for path in out.iterdir()) == [".trash", "demo"]
    assert (tmp_path / ".demo" / "thesis.txt").exists()


@pytest.mark.parametrize("whom", ["the demo alone", "everybody, as a terminal does"])
def test_ctrl_c_leaves_nothing_behind(tmp_path, whom):
    out = tmp_path / "raw"
    command = [sys.executable, "-m", "protege.cli", "demo", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True)
    end = time.monotonic() + 30
    while not list(tmp_path.rglob("events.jsonl")) and time.monotonic() < end:
        time.sleep(0.05)
    (os.kill if whom == "the demo alone" else os.killpg)(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.endswith("protege: interrupted\n")
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.rglob("*")] == ["raw"]
    assert keys_down(KEYBOARD_12.pressable) == set()
