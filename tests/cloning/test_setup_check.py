"""The check of an installation: everything is tried, and what is broken is said without a traceback."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from protege import cli
from protege.cloning.setup_check import LIBRARIES, checks
from tests import compiled
from tests.cloning.stores import store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checked(tmp_path_factory, compile_cache):
    """The script of the source documents, run once: how it ended, its lines by check, and what it left in its folder
    for temporary files.
    """
    folder, temporary = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("temporary")
    command = [sys.executable, "BC_training/scripts/test_setup.py", "--config", "configs/pure_cnn.yaml"]
    command += ["--dataset", str(store(folder / "episodes.zarr"))]
    environment = compiled.environment(compile_cache, TMPDIR=str(temporary))
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, lines(done.stdout), list(temporary.glob("protege-setup-*"))


@pytest.fixture(scope="module")
def found(checked):
    return checked[1]


def lines(text):
    """By check, whether it is ok and what it says."""
    return {line[4:21].strip(): (line.startswith("ok "), line[22:]) for line in text.splitlines()}


def test_on_this_machine_everything_works(checked):
    code, found, left = checked
    assert [name for name, (ok, _) in found.items() if not ok] == []
    assert code == 0
    assert set(LIBRARIES) < set(found)
    assert left == [], "nothing is left behind"


def test_the_documented_model_has_the_documented_size(found):
    assert "655,623 weights" in found["model"][1]


def test_a_whole_run_in_small_is_made_and_the_data_set_is_opened(found):
    assert "24 steps on 2 made-up episodes" in found["training"][1]
    assert found["data set"][1].startswith("4 episodes (2 train, 1 validation, 1 test), 43 frames of 16x12")


def test_a_missing_library_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    found = {check.name: check for check in checks()}
    assert not found["grain"].ok
    assert found["jax"].ok
    assert "protege[cloning]" in found["the rest"].found
    assert "training" not in found


def test_a_broken_configuration_and_data_set_are_one_line_each_and_the_command_ends_with_1(tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text("training: {batchsize: 3}", encoding="utf-8")
    data = store(tmp_path / "episodes.zarr")
    shutil.rmtree(data / "episode_1" / "actions")
    command = ["clone", "setup-check", "--config", str(tmp_path / "bad.yaml"), "--dataset", str(data)]
    assert cli.run(command) == 1
    found = lines(capsys.readouterr().out)
    assert [name for name, (ok, _) in found.items() if not ok] == ["configuration", "data set"]
    assert "batch_size" in found["configuration"][1]
    assert "no actions array" in found["data set"][1]
