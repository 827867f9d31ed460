"""What the doctor finds on a machine and in a recording."""

import os
import subprocess

import numpy as np
import pytest

from protege import doctor
from protege.core import SessionInfo, SessionWriter, encode_jpeg


def test_a_good_display_and_keyboard_are_ok(xvfb):
    display = doctor.check_display(os.environ)
    assert "1400x900" in display.found
    assert display.ok is not False
    assert doctor.check_keyboard({"XDG_SESSION_TYPE": "x11"}).ok is True


def test_a_missing_display_is_named(tmp_path):
    check = doctor.check_display({})
    assert check.ok is False
    assert "DISPLAY is not set" in check.found
    assert check.remedy


def test_wayland_is_named():
    check = doctor.check_keyboard({"XDG_SESSION_TYPE": "wayland"})
    assert check.ok is False
    assert "X11" in check.remedy


@pytest.mark.parametrize(("stdout", "returncode", "ok"), [("NVIDIA X, 24564 MiB\n", 0, True), ("", 9, False)])
def test_the_gpu_is_what_the_driver_says(stdout, returncode, ok):
    result = subprocess.CompletedProcess([], returncode, stdout, "driver mismatch")
    check = doctor.check_gpu(lambda *args, **options: result, which=lambda name: "/usr/bin/nvidia-smi")
    assert check.ok is ok
    assert ("24564" in check.found) is ok


def test_extras_name_the_command_that_installs_them():
    checks = {check.name: check for check in doctor.check_extras(lambda name: None if name == "mss" else object())}
    assert checks["extra record"].found == "mss missing"
    assert checks["extra record"].remedy == "pip install 'protege[record]'"
    assert checks["extra arena"].ok is True


def test_the_disk_is_given_in_hours(tmp_path):
    check = doctor.check_disk(tmp_path / "not" / "there")
    assert "hours" in check.found


def test_the_machine_is_checked_and_the_exit_code_says_so(run_protege, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    out = run_protege("doctor")
    assert out.returncode == 1
    assert "FIX display" in out.stdout
    for extra in doctor.EXTRAS:
        assert f"extra {extra}" in out.stdout


def test_a_recording_is_checked_and_repaired(tmp_path, run_protege):
    writer = SessionWriter.create(tmp_path, SessionInfo(frame_size=(64, 48)), "s")
    for i in range(3):
        writer.frame(i * 10**8, encode_jpeg(np.zeros((48, 64, 3), np.uint8)))
    writer.finish()
    assert "sound" in run_protege("doctor", "s").stdout
    (tmp_path / "s" / "frames" / "000001.jpg").unlink()
    out = run_protege("doctor", "s")
    assert out.returncode == 1
    assert "000001.jpg" in out.stdout
    assert "--repair" in out.stdout
    out = run_protege("doctor", "s", "--repair")
    assert out.returncode == 0
    assert "repaired, 2 frames" in out.stdout
    assert run_protege("doctor", "s").returncode == 0


def test_a_recording_without_a_readable_picture_is_not_sent_to_a_repair_that_cannot_help(tmp_path, run_protege):
    writer = SessionWriter.create(tmp_path, SessionInfo(frame_size=(64, 48)), "s")
    writer.frame(0, b"%!PS")
    writer.finish()
    out = run_protege("doctor", "s")
    assert out.returncode == 1
    assert "remove it with: protege sessions delete" in out.stdout
    assert "--repair" not in out.stdout
    out = run_protege("doctor", "s", "--repair")
    assert out.returncode == 2
    assert "no frame that can be read; nothing to repair" in out.stderr
    assert out.stderr.count("\n") == 1
