"""The analysis of a data set: figures by hand, animations unknown to training, the command as documented."""

import json
import subprocess
import sys

import numpy as np
import pytest

from protege.cloning.analyze import analyze, suggestion, table
from protege.cloning.state import COLUMNS
from protege.cloning.writer import Writer
from tests.cloning.stores import KEYS, frames


@pytest.fixture
def path(tmp_path):
    writer = Writer(tmp_path / "d.zarr", KEYS, attributes=COLUMNS)
    for number in range(4):
        held = np.zeros((10, 4), bool)
        held[:3, 0] = held[7:, 0] = True  # w twice, six frames, the first time from the start
        held[2, 1] = number == 0  # a once in the first episode, with w
        state = np.zeros((10, len(COLUMNS)), np.float32)
        state[:, COLUMNS.index("hero_animation")] = 100 + number
        state[:, COLUMNS.index("npc_animation")] = [7] * 9 + [8]
        goal = np.full(10, writer.goal("Go to a" if number < 3 else "Go to b"), np.int32)
        writer.episode(frames(10, number), held, state, goal)
    return writer.path


def test_the_figures_are_right(path):
    found = analyze(path)
    w, a, d, space = found.actions
    assert (w.share, w.presses, w.held) == (0.6, 8, 3)
    assert (a.share, a.presses, a.held) == (1 / 40, 1, 1)
    assert found.absent == ("d", "space")
    assert (d.presses, space.held) == (0, 0)
    assert found.idle == 0.4
    assert found.chords == 1 / 40
    assert found.goals == (("Go to a", 30), ("Go to b", 10))
    assert found.lengths == (10, 10, 10, 10)


def test_animations_that_training_has_not_seen_are_counted(path):
    hero, npc = analyze(path).streams
    assert (hero.unique, hero.lowest, hero.highest) == (4, 100, 103)
    assert hero.unknown == 1.0  # every episode has a number of its own
    assert npc.unknown == 0.0
    assert npc.top == ((7, 36), (8, 4))


def test_the_suggestion_is_a_configuration_that_loads(path, tmp_path):
    from protege.cloning import config

    file = tmp_path / "c.yaml"
    file.write_text(suggestion(analyze(path)))
    loaded = config.load(file)
    assert (loaded.model.name, loaded.model.goal, loaded.dataset.use_state) == ("state_cnn", "sentence", True)
    assert loaded.dataset.path == str(path)


def test_the_table_names_what_a_person_must_know(path):
    text = table(analyze(path))
    assert "4 episodes, 40 frames of 16x12" in text
    assert "never held, so not learned: d, space" in text
    assert "100.0% of the held-out frames unknown to training" in text


def run(path, *options):
    command = [sys.executable, "-m", "BC_training.analyze_dataset", "--dataset", str(path), *options]
    return subprocess.run(command, cwd=path.parent, check=False, capture_output=True, text=True)


def test_the_command_of_the_documents(path):
    done = run(path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["goals"] == {"Go to a": 30, "Go to b": 10}
    done = run(path.parent / "nothing.zarr")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"protege: {path.parent}/nothing.zarr: no such data set")
