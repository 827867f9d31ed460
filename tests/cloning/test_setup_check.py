"""The check of an installation: everything is tried, and what is broken is said without a traceback."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from protege import cli
from protege.cloning.setup_check import LIBRARIES, checks
from tests.cloning.stores import store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    data = store(tmp_path_factory.mktemp("data") / "episodes.zarr")
    return {check.name: check for check in checks(ROOT / "configs" / "pure_cnn.yaml", data)}


def without_training(monkeypatch, **options):
    """The checks but the longest one, whose own test is above."""
    monkeypatch.setattr("protege.cloning.setup_check._training", lambda: "")
    return {check.name: check for check in checks(**options)}


def test_on_this_machine_everything_works(found):
    assert all(check.ok for check in found.values()), [check for check in found.values() if not check.ok]
    assert set(LIBRARIES) < set(found)


def test_the_documented_model_has_the_documented_size(found):
    assert "655,623 weights" in found["model"].found


def test_a_whole_run_in_small_is_made_and_the_data_set_is_opened(found):
    assert "24 steps on 2 made-up episodes" in found["training"].found
    assert found["data set"].found.startswith("4 episodes (2 train, 1 validation, 1 test), 43 frames of 16x12")


def test_nothing_is_left_behind(found):
    assert not list(Path(tempfile.gettempdir()).glob("protege-setup-*"))


def test_a_missing_library_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    found = {check.name: check for check in checks()}
    assert not found["grain"].ok
    assert found["jax"].ok
    assert "protege[cloning]" in found["the rest"].found
    assert "training" not in found


def test_a_broken_configuration_and_data_set_are_one_line_each(monkeypatch, tmp_path):
    (tmp_path / "bad.yaml").write_text("training: {batchsize: 3}", encoding="utf-8")
    data = store(tmp_path / "episodes.zarr")
    shutil.rmtree(data / "episode_1" / "actions")
    found = without_training(monkeypatch, config=tmp_path / "bad.yaml", dataset=data)
    assert not found["configuration"].ok
    assert "batch_size" in found["configuration"].found
    assert "no actions array" in found["data set"].found
    assert not found["data set"].ok
    assert found["model"].ok


def test_the_command_ends_with_1_where_something_is_broken(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("protege.cloning.setup_check._training", lambda: "")
    assert cli.run(["clone", "setup-check", "--dataset", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("FIX")] == lines[-1:]
    assert cli.run(["clone", "setup-check"]) == 0
