"""Training steps and decisions beside PyTorch and the origin in small: that all are measured, and what is made of it,
not how fast they are.
"""

import itertools
import os

import jax
import numpy as np
import pytest

from bench import cloning, cloning_data, cloning_decide, cloning_train
from bench.apart import by_turns
from protege.cloning import train
from protege.cloning.policy import CloningPolicy
from protege.errors import ProtegeError
from tests import compiled
from tests.cloning import tiny


@pytest.fixture(scope="module", autouse=True)
def children(compile_cache):
    """The processes that the benchmark starts compile as these tests do."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in compiled.environment(compile_cache).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def origin():
    return cloning_data.origin()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return cloning_data.write_store(tmp_path_factory.mktemp("data") / "d.zarr", (16, 24), 48, 16)


def test_steps_are_measured_by_turns(store, tmp_path):
    contestants = (
        (cloning_train.our_turn, (str(store), str(tmp_path / "m"), 4)),
        (cloning_train.torch_turn, (16, 24, 4)),
        (cloning_train.origin_turn, (str(store), 4)),
    )
    seconds = by_turns(contestants, 2)
    ways = ("resident", "end_to_end", "torch", "origin")
    assert {name: len(turns) for name, turns in seconds.items()} == dict.fromkeys(ways, 2)
    assert min(min(turns) for turns in seconds.values()) > 0


def test_a_process_that_fails_says_why():
    with pytest.raises(ProtegeError, match=r"No such file or directory|not found|nothing"):
        by_turns([(cloning_train.origin_turn, ("nothing.zarr", 4))], 1)


def test_figures_are_medians_of_ratios_within_a_turn():
    seconds = {
        "resident": [1.0, 2.0, 4.0],
        "end_to_end": [1.25, 2.0, 5.0],
        "torch": [2.0, 1.0, 1.0],
        "origin": [2.5, 5.0, 5.0],
    }
    efficiency, ratio, loop = cloning_train._of_steps(seconds, 16, 144, 256)
    assert (efficiency.key, efficiency.value, efficiency.good) == ("step_efficiency", 0.8, False)
    assert (ratio.key, ratio.value, ratio.good) == ("ratio_to_pytorch", 0.5, False)
    assert (loop.key, loop.value) == ("loop_speedup", 2.0)
    assert "8.0 samples a CPU second" in efficiency.text
    assert "0.25 to 2.00" in ratio.text
    assert "1.00 to 2.50" in loop.text
    assert [figure.key for figure in cloning_train._of_steps(seconds, 4, 288, 512)] == [
        "step_efficiency_288",
        "ratio_to_pytorch_288",
        "loop_speedup_288",
    ]


def test_the_origin_s_loop_learns_and_goes_on_after_an_epoch(origin, tmp_path):
    small = cloning_data.write_store(tmp_path / "d.zarr", (16, 24), 6, 6)  # its second batch holds two samples
    losses = list(itertools.islice(origin.train(small, 4), 30))
    assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8])


def test_the_origin_s_network_is_ours_and_its_decision_that_of_jit(origin, store, tmp_path):
    """Our weights in its network give our probabilities."""
    state = origin.create_state(7, (1, 16, 24, 3))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == 655_623
    ours = policy(store, tmp_path, "model.conv_features=[32,64,128,256]", "model.dense_features=[512,256]")
    weights = {name: np.asarray(leaf) for name, leaf in flat(ours.loaded)}
    parts = [f"encoder/blocks/{i}" for i in range(4)], [f"head/layers/{i}" for i in range(2)]
    params, stats = {}, {}
    for number, part in enumerate(parts[0]):
        params[f"Conv_{number}"] = named(weights, f"{part}/conv", "kernel", "bias")
    for number, part in enumerate([*parts[1], "head/out"]):
        params[f"Dense_{number}"] = named(weights, part, "kernel", "bias")
    norms = [f"{part}/norm/norm" for part in parts[0]] + [f"head/norms/{i}/norm" for i in range(2)]
    for number, part in enumerate(norms):
        params[f"BatchNorm_{number}"] = named(weights, part, "scale", "bias")
        stats[f"BatchNorm_{number}"] = named(weights, part, "mean", "var")
    rgb = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    found = origin.decide(state.replace(params=params, batch_stats=stats), rgb)
    decided = ours.loaded.decide(rgb.transpose(2, 0, 1)[None], np.zeros((1, 7)))
    assert np.allclose(found, decided[0], atol=1e-4)
    assert np.ptp(found) > 0.01


def test_decisions_are_measured_by_turns(store, tmp_path):
    policy(store, tmp_path)
    ms = cloning_decide.times(tmp_path / "model", 3)
    assert {name: len(turns) for name, turns in ms.items()} == dict.fromkeys(("ours", "origin", "own", "wall"), 3)
    assert min(min(turns) for turns in ms.values()) > 0


def test_a_decision_s_figures_are_ratios_of_medians():
    ms = {"ours": [1.0, 2.0, 9.0], "origin": [6.0, 8.0, 30.0], "own": [3.0, 5.0, 5.0], "wall": [1.0, 2.0, 3.0]}
    speedup, own, p99 = cloning_decide._of(ms, 144)
    assert (speedup.key, speedup.value, speedup.good) == ("decision_speedup", 4.0, False)
    assert (own.key, own.value) == ("decision_speedup_own", 2.5)
    assert p99.value == pytest.approx(2.98)
    assert [figure.key for figure in cloning_decide._of(ms, 288)] == [
        "decision_speedup_288",
        "decision_speedup_own_288",
        "decision_p99_ms_288",
    ]


def test_a_part_says_its_figures_as_soon_as_it_has_them(tmp_path):
    said = []
    found = cloning.run(
        cloning.CloningBench(("data",), frames=8, few=2, many=4, length=2, folder=tmp_path), said.append
    )
    keys = [figure.key for figure in found]
    assert keys[0] == "loader_speedup_first"
    assert keys[-1] == "memory_growth"
    assert said[-len(keys) - 1 : -1] == [f"{figure.key}: {figure.text}" for figure in found]
    assert said[-1].startswith("part data took ")


def test_what_runs_apart_is_a_process_of_its_own_and_its_failure_is_told():
    assert cloning_train.apart(os.getpid) != os.getpid()
    with pytest.raises(cloning_data.ProtegeError, match="the benchmark's process failed"):
        cloning_train.apart(cloning_train.start_origin, "/nowhere", 4)


def policy(store, folder, *overrides):
    """Trained for a step."""
    train.train(tiny.run(store, folder / "model", "training.max_steps=1", *overrides))
    return CloningPolicy(folder / "model")


def flat(loaded):
    """Names and values of all variables of a model."""
    from flax import nnx

    for path, leaf in nnx.to_flat_state(nnx.state(loaded.model)):
        yield "/".join(map(str, path)), leaf[...]


def named(weights, part, *names):
    return {name: weights[f"{part}/{name}"] for name in names}
