"""The benchmark in small, and the origin's way that it is measured against."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import controls as bench
from bench.controls import ControlsBench
from protege.controls.model import Architecture, ControlTransformer
from protege.controls.recordings import write
from protege.controls.synth import SynthOptions, synthesize
from protege.controls.tables import INPUTS
from protege.controls.windows import prepare
from protege.errors import UserError

ORIGIN = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "controls_origin.py"))


def test_the_origins_way_gives_the_same_windows_but_for_its_leak(tmp_path):
    """All but the state, which it takes of the same frame, and what it calls gameplay around a screen."""
    paths = [
        write(synthesize(seed, "inventory", SynthOptions(frames=200)), tmp_path / f"{seed}.npz") for seed in (0, 1)
    ]
    origin = ORIGIN["OriginDataset"](paths, augmented=False, dropout=0)
    recordings = [synthesize(seed, "inventory", SynthOptions(frames=200)) for seed in (0, 1)]
    prepared = prepare(recordings, first_target=29)
    assert len(origin) == len(prepared)
    ours = prepared.batch(np.arange(len(prepared)))
    state = INPUTS["state"]
    plain = np.delete(ours.inputs, np.arange(state.start, state.stop), axis=2)
    where = {row.tobytes(): number for number, row in enumerate(plain)}
    found = []
    for features, mask, target, modes in (origin[i] for i in range(len(origin))):
        theirs = features.numpy()
        number = where[np.delete(theirs, np.arange(state.start, state.stop), axis=1).tobytes()]
        np.testing.assert_array_equal(ours.inputs[number, 1:, state], theirs[:-1, state])
        np.testing.assert_array_equal(ours.controls[number], target.numpy())
        assert bool(mask.all()) == bool(ours.mask[number].all())
        for name in ("hotbar_changed", "look_active"):
            assert modes[name] == bool(getattr(ours, name)[number])
        found.append(number)
    assert sorted(found) == list(range(len(prepared)))


def test_the_origins_batches_drop_history_entry_by_entry(tmp_path):
    path = write(synthesize(0, "combat", SynthOptions(frames=120)), tmp_path / "r.npz")
    origin = ORIGIN["OriginDataset"]([path], augmented=False)
    features, mask, target, modes = ORIGIN["collate"]([origin[i] for i in range(8)])
    assert tuple(features.shape) == (8, 30, 671)
    assert tuple(mask.shape) == (8, 30)
    assert tuple(target.shape) == (8, 28)
    assert set(modes) == {"gameplay", "screen_open", "hotbar_changed", "look_active"}


def test_the_origins_policy_decides():
    torch.manual_seed(0)
    shape = Architecture(d_model=16, nhead=2, num_layers=1, dim_feedforward=16)
    policy = ORIGIN["OriginPolicy"](ControlTransformer(shape).eval())
    played = synthesize(0, "mixed", SynthOptions(frames=40))
    decided = [policy.decide(played.frames[t], played.game_state[t]) for t in range(40)]
    assert not np.any(decided[:2])
    assert decided[-1].shape == (28,)


def test_preparing_is_measured_in_both_ways(tmp_path):
    figures = bench.preparing(ControlsBench((3000, 6000), rounds=1), tmp_path, lambda text: None)
    assert [figure.key for figure in figures] == ["prepare_speedup", "prepare_memory_ratio", "prepare_growth"]
    assert all(figure.value > 0 for figure in figures)
    loaded = bench.loading(ControlsBench((3000,), rounds=1, windows=640), tmp_path / "3000")
    assert loaded.key == "windows_speedup"
    assert loaded.value > 1


def test_deciding_is_measured_in_both_ways(tmp_path):
    figures = bench.deciding(ControlsBench(rounds=1, decisions=3, layers=1), tmp_path)
    assert [figure.key for figure in figures] == ["decision_speedup", "decision_p99_ms_busy"]
    assert all(figure.value > 0 for figure in figures)


def test_statistics_and_masks_of_many_windows_are_measured():
    figure = bench.million(2000)
    assert figure.key == "million_windows_s"
    assert "2,178 windows" in figure.text


def test_sizes_that_cannot_be_measured_are_refused():
    with pytest.raises(UserError, match="smallest first"):
        ControlsBench((6000, 3000))
    with pytest.raises(UserError, match="3000 or more"):
        ControlsBench((10,))
