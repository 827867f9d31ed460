"""The notebook for a free GPU: its own cells, run on the CPU with the tiny model, and run again."""

import os
import re
import sys
import tarfile
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
pytest.importorskip("trl")
pytest.importorskip("vizdoom")
from nbclient import NotebookClient  # noqa: E402
from nbclient.exceptions import CellExecutionError  # noqa: E402

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "train_on_a_free_gpu.ipynb"
SETTINGS = (
    "model.four_bit=false data.frame_size=[160,128] data.workers=0 data.limit=32 training.batch=2 "
    "training.accumulation=1 training.save_steps=2 training.score_samples=2 training.gradient_checkpointing=false"
)
SMALL = {"MODEL": "run/base", "EPISODES": "3", "STEPS": "4", "SETTINGS": SETTINGS, "TINY": "1", "ROOMS": "1"}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="cells of bash")


def run(folder, **values):
    """What each cell printed, by its id, with other values of its parameters and without a screen."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    given = {"FOLDER": "run", **SMALL, **values}
    for name, value in given.items():
        parameters.source, found = re.subn(rf"(?m)^%env {name}=.*", f"%env {name}={value}", parameters.source)
        assert found == 1, name
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    screenless = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env={**screenless, "PATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"})
    return {cell.id: printed(cell) for cell in notebook.cells if cell.cell_type == "code"}


def printed(cell):
    return "".join(output.get("text", "") or str(output.get("data", "")) for output in cell.outputs)


@pytest.mark.timeout(600)
def test_the_notebook_trains_a_model_that_plays_and_a_second_run_repeats_nothing(tmp_path):
    first = run(tmp_path)
    made = tmp_path / "run"
    assert "3 sessions (3 new)" in first["record"]
    assert "step 4 of 4" in first["train"]
    assert "% of 1" in first["play"]
    assert "<html" in first["show"]
    with tarfile.open(made / "protege.tar.gz") as archive:
        names = archive.getnames()
    assert {"model/adapter_model.safetensors", "model/card.json", "score.txt", "arena.html"} <= set(names)
    assert not [name for name in names if "checkpoint" in name]

    kept = {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file() and path.suffix != ".gz"}
    again = run(tmp_path)
    assert "3 sessions (0 new)" in again["record"]
    assert "trained for 4 steps already; nothing to do" in again["train"]
    assert "baseline" in first["play"]
    assert "baseline" not in again["play"]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_cell_that_fails_ends_the_notebook(tmp_path):
    with pytest.raises(CellExecutionError, match="returned non-zero exit status 2"):
        run(tmp_path, SIZE="large")


def test_the_notebook_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell.id for cell in cells if cell.outputs or cell.execution_count]
