"""`protege arena`: mistakes are one line that begins as every other, before anything opens or is printed."""

import os

import pytest

SIZE = ("--size", "160x120")


def mistake(done):
    """The one line of an exit code 2."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("display", [None, ":979"])
def test_playing_without_a_display_is_one_line(run_protege, display):
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    if display:
        environment["DISPLAY"] = display
    line = mistake(run_protege("arena", "play", env=environment))
    assert line.startswith("protege: no display: DISPLAY is not set" if display is None else "protege: cannot open the")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seconds", "nan"), "protege arena play: Invalid value for '--seconds': 'nan' is not a finite number"),
        (("--seconds", "inf"), "protege arena play: Invalid value for '--seconds': 'inf' is not a finite number"),
        (("--seconds", "-1"), "protege arena play: Invalid value for '--seconds': -1.0 is not in the range x>0"),
        (("--goal", "Fly away"), "protege: the arena has no goal 'Fly away'; its goals are: lantern"),
        (("--size", "100x100"), "protege: the arena cannot draw 100x100; its sizes are 160x120"),
        (("--log", "nosuch/log"), "protege: --log nosuch/log: cannot be written (No such file or directory)"),
    ],
)
def test_mistakes_in_playing_are_one_line(run_protege, xvfb, options, message):
    assert mistake(run_protege("arena", "play", *options)).startswith(message)


def test_mistakes_in_recording_are_one_line(run_protege, tmp_path):
    assert mistake(run_protege("arena", "record", "--goal", "Fly away")).startswith("protege: the arena has no goal")
    assert mistake(run_protege("arena", "record", "--size", "100x100")).startswith("protege: the arena cannot draw")
    (tmp_path / "raw" / "arena_05000").mkdir(parents=True)
    line = mistake(run_protege("arena", "record", *SIZE, "--out", "raw"))
    assert line.startswith("protege: raw/arena_05000: not a session of ours, so it stays")


def test_recording_says_what_it_did(run_protege):
    done = run_protege("arena", "record", "--episodes", "2", *SIZE, "--out", "raw")
    assert done.returncode == 0
    assert done.stdout.startswith("raw: 2 sessions (2 new), ")


def test_mistakes_in_recording_into_a_store_are_one_line_and_leave_nothing(run_protege, tmp_path):
    goal = mistake(run_protege("arena", "record", "--zarr", "d.zarr", "--goal", "Fly away"))
    assert goal.startswith("protege: the arena has no goal")
    lone = mistake(run_protege("arena", "record", "--corrected", "--out", "raw"))
    assert lone.startswith(
        "protege arena record: --corrected: a session holds the keys that were pressed; give --zarr STORE"
    )
    asked = mistake(run_protege("arena", "record", "--task", "memory", "--goal", "tree"))
    assert asked.startswith("protege arena record: --goal and --task memory: both say what to ask for")
    both = mistake(run_protege("arena", "record", "--zarr", "d.zarr", "--out", "raw"))
    assert both.startswith("protege arena record: --zarr and --out: episodes go to one place")
    assert list(tmp_path.iterdir()) == []


def test_recording_into_a_store_says_what_it_did(run_protege):
    command = ("arena", "record", "--zarr", "d.zarr", "--size", "24x16", "--noise", "0.1", "--corrected")
    assert run_protege(*command, "--episodes", "1").stdout.startswith("d.zarr: 1 episodes (1 new: ")
    again = run_protege(*command, "--episodes", "2")
    assert (again.returncode, "1 reached their goal" in again.stdout) == (0, True)
