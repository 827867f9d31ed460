"""The command line: help, one-line errors, exit codes, and an import that stays light."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from protege import cli

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "jax", "transformers", "mss", "pynput", "vizdoom", "cv2", "datasets", "gymnasium", "av")


def test_help_shows_the_pipeline_in_order(run_protege):
    out = run_protege("--help")
    assert out.returncode == 0
    positions = [out.stdout.index(f"\n  {name} ") for name in cli.COMMANDS]
    assert positions == sorted(positions)
    assert "protege demo" in out.stdout


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_with_examples(name, capsys):
    assert cli.run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Examples:" in out or "Commands:" in out
    assert f"protege {name}" in out


def subcommands():
    for name in cli.COMMANDS:
        command = cli.cli.get_command(None, name)  # type: ignore[arg-type]
        for sub in getattr(command, "commands", {}):
            yield [name, sub]


@pytest.mark.parametrize("path", list(subcommands()), ids=" ".join)
def test_every_subcommand_has_examples(path, capsys):
    assert cli.run([*path, "--help"]) == 0
    assert "Examples:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["recrod"], ["recrod", "protege --help"]),
        (["record", "--fsp", "3"], ["--fsp", "--fps", "protege record --help"]),
        (["record", "--fps", "many"], ["--fps", "many"]),
        (["record", "--fps", "500"], ["--fps 500", "1 to 120"]),
        (["record", "--size", "640"], ["--size", "'640'", "640x480"]),
        (["record", "--region", "1,2"], ["--region", "LEFT,TOP,WIDTH,HEIGHT"]),
        (["record", "--stop-after", "soon"], ["--stop-after", "'soon'", "1:30"]),
        (["record", "--stop-after", "nan"], ["--stop-after", "'nan'"]),
        (["record", "--size", "²x3"], ["--size"]),
        (["record", "--toggle-key", "w"], ["--toggle-key 'w'"]),
        (["doctor", "/no/such/folder"], ["/no/such/folder"]),
        (["doctor", "--repair"], ["--repair needs a recording"]),
        (["doctor", str(ROOT / "docs")], ["no recording here", "protege record"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_a_mistake_gives_one_line_and_exit_code_2(args, parts, run_protege):
    out = run_protege(*args)
    assert out.returncode == 2
    assert out.stdout == ""
    assert len(out.stderr.strip().splitlines()) == 1
    for part in parts:
        assert part in out.stderr


def test_debug_shows_where_an_error_was_raised(run_protege):
    out = run_protege("record", "--fps", "500", "--debug")
    assert out.returncode == 2
    assert "Traceback" in out.stderr
    assert out.stderr.strip().splitlines()[-1].startswith("protege: --fps 500")


def test_a_defect_of_ours_is_one_line_unless_debugged(capsys):
    @click.command()
    @click.option("--debug", is_flag=True)
    def broken(debug):
        raise ZeroDivisionError("oops")

    assert cli.run([], broken) == 1
    assert "internal error: ZeroDivisionError('oops')" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        cli.run(["--debug"], broken)


def test_importing_protege_is_light():
    code = f"import sys, protege, protege.core, protege.cli; print([m for m in {HEAVY} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_importing_protege_takes_little_cpu_time():
    """Under 0.3 s with everything below it that is light; CPU time, the best of five."""
    code = "import time; t = time.process_time(); import protege.core, protege.cli; print(time.process_time() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    assert min(times) < 0.3


def test_without_a_display_recording_says_so_in_one_line(run_protege, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    out = run_protege("record")
    assert out.returncode == 2
    assert len(out.stderr.strip().splitlines()) == 1
    assert "graphical session" in out.stderr


def test_the_recorders_own_command_is_the_same(tmp_path):
    script = ROOT / "src" / "continuos_recoder.py"
    out = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "P starts and pauses" in out.stdout
