"""What the origin got wrong and no other test here names: recurrence, batch statistics, losses of several runs,
checkpoints that nothing judged.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from protege.cloning.checkpoint import load_model
from protege.cloning.layers import Inputs
from protege.cloning.steps import Devices, Network, Setting, make_steps
from protege.cloning.train import train
from tests.cloning.stores import store
from tests.cloning.tiny import config, interrupted, run

KEYS = ("left", "right")


def setting():
    return Setting(KEYS, (), (16, 24))


def inputs(batch=4, time=3, history=0):
    frames = jax.random.uniform(jax.random.key(5), (batch, time, 16, 24, 3))
    return Inputs(frames, jnp.zeros((batch, history, 2)), valid=jnp.ones(batch, bool))


def test_every_recurrent_layer_starts_from_nothing():
    """The second layer must not begin with the first one's last state: scanned here by hand, a cell at a time."""
    found = config("gru", "model.num_layers=2", "model.num_frames=3", "model.action_history=0")
    network, seen = Network(found, setting()), inputs()

    @jax.jit
    def both(key):
        weights, stats = network.init(key)
        model: Any = nnx.merge(network.graph, weights, stats)
        steps = model.encoder(seen.frames, None, False, None)
        for cell in model.cells:
            carry, made = jnp.zeros((4, 8)), []
            for t in range(3):
                carry, out = cell(carry, steps[:, t])
                made.append(out)
            steps = jnp.stack(made, axis=1)
        return network.logits(weights, stats, seen), model.head(steps[:, -1], None, False, None, None)

    logits, by_hand = both(jax.random.key(0))
    assert np.asarray(logits) == pytest.approx(np.asarray(by_hand), abs=1e-5)


def test_statistics_move_once_a_step_however_many_frames_there_are():
    network = Network(config("gru", "model.num_frames=3", "model.action_history=0"), setting())

    @jax.jit
    def step(key):
        weights, stats = network.init(key)
        return stats, network.train_logits(weights, stats, inputs(), key)[1]

    stats, moved = step(jax.random.key(0))
    shares = [
        float((old - new).max())
        for (path, old), new in zip(jax.tree.leaves_with_path(stats), jax.tree.leaves(moved), strict=True)
        if "var" in jax.tree_util.keystr(path)
    ]
    assert shares
    for share in shares:  # from 1 towards the batch's, a tenth of the way; three times would be 0.27
        assert 0 < share <= 0.1 + 1e-6


def test_a_second_run_in_one_process_has_its_own_loss():
    """Focal loss with gamma 0 and alpha 1/2 is half the cross-entropy."""
    rng = np.random.default_rng(0)
    batch = {
        "frames": rng.integers(0, 255, (8, 1, 3, 16, 24), dtype=np.uint8),
        "actions": rng.integers(0, 2, (8, 1, 2)).astype(np.float32),
        "previous": np.zeros((8, 1, 2), np.float32),
        "goal": np.full(8, -1, np.int32),
        "valid": np.ones(8, bool),
        "known": np.ones((8, 1), bool),
    }
    losses = []
    for loss in ("bce", "focal"):
        options = (f"training.loss.type={loss}", "training.loss.gamma=0", "model.dropout_rate=0")
        network = Network(config("pure_cnn", *options), setting())
        steps = make_steps(network, Devices(1, 8), np.ones(2, np.float32), 4)
        losses.append(float(steps.train(steps.init(jax.random.key(0)), batch)[1]["loss"]))
    assert losses[1] == pytest.approx(losses[0] / 2, rel=1e-4)


def test_a_run_that_was_stopped_before_it_was_judged_loads_and_goes_on(tmp_path):
    options = ("evaluation.eval_every_n_epochs=2", "evaluation.metrics_threshold=0.4", "logging.log_every_n_steps=1")
    found = run(store(tmp_path / "e.zarr", (12, 9, 7), size=(24, 16)), tmp_path / "model", *options)
    stopped = interrupted(found, "step 1 of")
    assert stopped.scores == {}
    assert load_model(tmp_path / "model").thresholds.tolist() == [0.4, 1, 0.4, 0.4], "the second is never held"
    assert train(found).steps > stopped.steps
