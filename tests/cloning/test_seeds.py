"""The commands of the source documents as they stand there, without `uv run`, in a project of the documented shape."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cloning.stores import store

ROOT = Path(__file__).parents[2]
SMALLER = {
    "[32, 64, 128, 256]": "[4, 8]",
    "[512, 256]": "[8]",
    "num_epochs: 10": "num_epochs: 1",
    "~/.cache/protege/jax": "compiled",
}
"""What is edited in configs/pure_cnn.yaml, so that a test can train it."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for part in ("BC_training", "configs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    config = folder / "configs" / "pure_cnn.yaml"
    text = config.read_text(encoding="utf-8")
    for documented, small in SMALLER.items():
        assert documented in text
        text = text.replace(documented, small)
    config.write_text(text, encoding="utf-8")
    store(folder / "dataset" / "episodes.zarr")
    return folder


def run(lines, project):
    """Standard output of some shell lines in the project's root."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    script = "set -e\n" + lines
    done = subprocess.run(["bash", "-c", script], cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trained(project, lines):
    """Whether some lines train the model of configs/pure_cnn.yaml anew, and say where it is."""
    model = project / "models" / "cloning" / "pure_cnn"
    shutil.rmtree(model, ignore_errors=True)
    said = run(lines, project)
    return said == "model: models/cloning/pure_cnn\n" and (model / "checkpoints" / "1").is_dir()


def test_uv_installs_the_same_with_the_group_and_without_naming_it():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["dependency-groups"]["bc_training"] == ["protege[cloning]"]
    assert settings["tool"]["uv"]["default-groups"] == ["bc_training"]


def test_training_starts_from_the_folder_of_the_documents(project):
    assert trained(project, "cd BC_training\npython train.py --config configs/pure_cnn.yaml")


def test_a_copied_configuration_trains_from_the_root_and_is_not_hidden_by_the_folder_of_the_same_name(project):
    copied = "cp configs/pure_cnn.yaml configs/my_model.yaml\npython -m BC_training --config configs/my_model.yaml"
    assert trained(project, copied)


def test_a_data_set_is_analysed(project):
    shutil.copytree(project / "dataset" / "episodes.zarr", project / "your_path")
    said = run("python -m BC_training.analyze_dataset --dataset your_path", project)
    assert said.startswith("your_path: 4 episodes, 43 frames of 16x12")
