"""Bad input to the commands of cloning: one line on stderr, exit code 2, at once, and nothing half-written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from BC_training import analyze_dataset
from protege import cli
from protege.core.actions import KEYBOARD_12
from protege.core.card import ModelCard
from tests.cloning import tiny
from tests.cloning.stores import store

ROOT = Path(__file__).parents[2]


def refused(capsys, *args):
    """The one line that a command says when it exits with 2."""
    assert cli.run(["clone", *map(str, args)]) == 2
    out = capsys.readouterr()
    (line,) = out.err.splitlines()
    assert not out.out
    return line


@pytest.mark.parametrize("name", ["evaluate", "rollout"])
def test_a_model_that_is_not_there_is_said_before_anything_heavy_is_imported(name, tmp_path):
    (tmp_path / "file").touch()
    script = (
        "import sys; from protege import cli; code = cli.run(sys.argv[1:]); "
        "sys.exit(99 if {'jax', 'flax', 'matplotlib'} & set(sys.modules) else code)"
    )
    for model in ("nothing", "file", "not/a/model"):
        command = [sys.executable, "-c", script, "clone", name, model]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"protege: {model}: no such model; expected a folder")


def test_a_folder_that_is_no_model_is_not_played(tmp_path, capsys):
    assert "no card.json, so this is not a model" in refused(capsys, "rollout", tmp_path)


@pytest.mark.parametrize("name", ["train", "evaluate", "rollout"])
def test_a_missing_library_names_the_extra(name, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "optax", None)
    line = refused(capsys, name, *([] if name == "train" else [tmp_path]))
    assert line == "protege: optax is not installed; install it with: pip install 'protege[cloning]'"


def test_playing_a_model_without_the_libraries_names_the_extra(tmp_path):
    ModelCard("cloning", "", KEYBOARD_12).save(tmp_path)
    script = "import sys; sys.modules['jax'] = None; from protege.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", script, "bench", "arena", "--model", tmp_path, "--episodes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr == "protege: jax is not installed; install it with: pip install 'protege[cloning]'\n"


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "model").mkdir()
    data = store(tmp_path / "episodes.zarr")
    wanted = f"training.checkpoint_dir={tmp_path / 'file'}"
    line = refused(capsys, "train", "--config", ROOT / "configs" / "pure_cnn.yaml", f"dataset.path={data}", wanted)
    assert f"training.checkpoint_dir {tmp_path / 'file'}: {tmp_path / 'file'} is a file" in line
    assert not (tmp_path / ".episodes.zarr.cache").exists()
    line = refused(capsys, "evaluate", tmp_path / "model", "--out", tmp_path / "file" / "new")
    assert f"--out {tmp_path / 'file' / 'new'}: {tmp_path / 'file'} is a file" in line
    assert "--page" in refused(capsys, "rollout", "expert", "--page", tmp_path / "file" / "page.html")
    assert "is a directory" in refused(capsys, "rollout", "expert", "--page", tmp_path / "model")
    assert not list(tmp_path.glob(".*"))


PLACES = (
    ("evaluate", "--out", "/proc/x"),
    ("rollout", "--page", "/proc/x/page.html"),
    ("rollout", "--page", "/proc/p"),
)


@pytest.mark.parametrize(("name", "option", "place"), PLACES)
def test_a_place_where_nothing_can_be_made_is_refused_before_the_work(name, option, place, tmp_path, capsys):
    """Nobody can write there, whatever the permissions say."""
    model = "expert" if name == "rollout" else tmp_path
    line = refused(capsys, name, model, option, place)
    assert re.match(rf"protege: {option} /proc[x/]*: /proc cannot be written into \(", line)


def test_a_folder_or_a_device_where_a_file_should_be_is_refused_before_the_work(tmp_path, capsys):
    for name in ("metrics.json", "evaluation.html"):
        folder = tmp_path / name
        (folder / name).mkdir(parents=True)
        assert f"{name} in it is not a file" in refused(capsys, "evaluate", tmp_path, "--out", folder)
        assert [path.name for path in folder.iterdir()] == [name]
    assert "null in it is not a file" in refused(capsys, "rollout", "expert", "--page", "/dev/null")
    data = store(tmp_path / "episodes.zarr")
    for name in ("log.jsonl", "config.yaml"):
        (tmp_path / "model" / name).mkdir(parents=True)
        wanted = f"training.checkpoint_dir={tmp_path / 'model'}"
        line = refused(capsys, "train", "--config", ROOT / "configs" / "pure_cnn.yaml", f"dataset.path={data}", wanted)
        assert f"{name} in it is not a file" in line
        (tmp_path / "model" / name).rmdir()
    assert not list((tmp_path / "model").iterdir())


def test_a_place_that_can_be_made_is_made_only_by_the_work(tmp_path, capsys):
    (tmp_path / "model").mkdir()
    wanted = tmp_path / "new" / "deeper"
    assert "no checkpoints here" in refused(capsys, "evaluate", tmp_path / "model", "--out", wanted)
    assert not (tmp_path / "new").exists()


def test_a_finished_run_says_so_and_how_to_go_on(tmp_path, capsys):
    settings = tiny.WIDTHS["pure_cnn"]
    data = store(tmp_path / "episodes.zarr")
    command = ["clone", "train", "--config", str(ROOT / "configs" / "pure_cnn.yaml"), f"dataset.path={data}"]
    command += [f"model.{text}" for text in settings] + ["training.max_steps=1", "system.compile_cache=null"]
    command += [f"training.checkpoint_dir={tmp_path / 'model'}", "training.batch_size=8"]
    for finished in (False, True):
        assert cli.run(command) == 0
        assert ("already finished after 1 steps; to go on, raise" in capsys.readouterr().err) == finished


def test_a_store_without_state_says_how_to_do_without(tmp_path, capsys):
    data = store(tmp_path / "episodes.zarr")
    line = refused(capsys, "train", "--config", ROOT / "configs" / "state_cnn.yaml", f"dataset.path={data}")
    assert "episode_0: no state" in line
    assert line.endswith("dataset.use_state=false")


def test_a_mistake_in_the_analysis_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        analyze_dataset.main(["--datset", "x"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m BC_training.analyze_dataset: ")


def test_an_analysis_whose_reader_has_gone_ends_quietly(tmp_path):
    command = [sys.executable, "-m", "BC_training.analyze_dataset", "--dataset", store(tmp_path / "episodes.zarr")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
