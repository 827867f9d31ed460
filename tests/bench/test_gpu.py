"""The figures that need a GPU, dry-run on the CPU with a tiny shape: every kind of part runs; no time is asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl")
pytest.importorskip("jax")

from bench.gpu import parts

SCRIPT = Path(__file__).parents[2] / "scripts" / "gpu_figures.sh"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
ASKED = ("train_nf4_checkpointed", "decode_bf16", "loader", "reader_bf16", "cloning_bfloat16")


def test_one_command_measures_each_part_and_writes_a_table_and_a_file(tmp_path):
    chosen = [argument for name in ASKED for argument in ("--part", name)]
    done = subprocess.run(
        ["sh", str(SCRIPT), str(tmp_path / "out"), "--tiny", *chosen],
        check=False, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "gpu_figures.json").read_text())["figures"]
    assert set(found) == set(ASKED) <= set(parts())
    assert {"s_per_step", "tokens_per_s", "estimated_gib"} == set(found["train_nf4_checkpointed"])
    ways = ("naive", "constrained", "no_draft", "draft", "right_draft")
    assert {f"ms_{way}_64x64" for way in ways} < set(found["decode_bf16"])
    reader = found["reader_bf16"]
    assert {"ms_as_is_64x64", "ms_compiled_64x64", "off_compiled_64x64"} == set(reader)  # captured: on a GPU alone
    assert reader["off_compiled_64x64"] == 0
    assert "a tiny shape: a dry run, no figures" in (tmp_path / "out" / "gpu_figures.txt").read_text()


def test_a_part_that_fails_or_finds_no_time_is_named_and_the_others_go_on(tmp_path):
    command = [sys.executable, str(SCRIPT.with_suffix(".py")), "--out", str(tmp_path), "--tiny", "--minutes", "0.1"]
    done = subprocess.run([*command, "--part", "loader"], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert json.loads((tmp_path / "gpu_figures.json").read_text())["figures"]["loader"] == {"error": "no time was left"}


def test_a_part_that_takes_too_long_leaves_the_others_their_time(tmp_path):
    command = [sys.executable, str(SCRIPT.with_suffix(".py")), "--out", str(tmp_path), "--tiny", "--minutes", "0.3"]
    names = ("train_bf16_plain", *("no_such_part",) * 30)
    chosen = [argument for name in names for argument in ("--part", name)]
    done = subprocess.run([*command, *chosen], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    found = json.loads((tmp_path / "gpu_figures.json").read_text())["figures"]
    assert "not done after 1 s" in found["train_bf16_plain"]["error"]
    assert "KeyError" in found["no_such_part"]["error"] or "no time" in found["no_such_part"]["error"]
