"""Losses by hand: weights that absent actions cannot blow up, focal, smoothing that makes no onsets, filler rows."""

# pyright: reportArgumentType=false, reportCallIssue=false

import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from protege.cloning.config import LossConfig
from protege.cloning.losses import action_loss, class_weights
from protege.cloning.optim import optimizer, schedule
from protege.errors import UserError
from tests.cloning.tiny import config

KEYS = ("a", "b", "never")
RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(5, 2, 3)), jnp.float32)
ACTIONS = jnp.asarray(RNG.random((5, 2, 3)) < 0.4, jnp.float32)
BEFORE = jnp.asarray(RNG.random((5, 3)) < 0.4, jnp.float32)
ONES = jnp.ones(3)


def loss(logits=LOGITS, actions=ACTIONS, before=BEFORE, valid=None, weights=ONES, smoothing=0.0, **options):
    valid = jnp.ones(len(logits), bool) if valid is None else valid
    known = jnp.broadcast_to(valid[:, None], logits.shape[:2])
    total, share = action_loss(logits, actions, before, known, weights, LossConfig(**options), smoothing)
    return float(total / share)


def entropy(logits, labels):
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    labels = np.asarray(labels)
    return -(labels * np.log(p) + (1 - labels) * np.log(1 - p))


def test_an_absent_action_leaves_the_other_weights_alone_and_is_named(caplog):
    held = np.zeros((100, 3), bool)
    held[:50, 0] = held[:10, 1] = True
    with caplog.at_level(logging.WARNING):
        weights = class_weights(held, KEYS)
    assert "never held in the training episodes: never" in caplog.text
    np.testing.assert_allclose(weights, [2 / 6, 10 / 6, 1])
    np.testing.assert_allclose(weights[:2], class_weights(held[:, :2], KEYS[:2]))


def test_class_weights_are_capped():
    held = np.zeros((10_000, 3), bool)
    held[:5000, :2] = held[0, 2] = True
    assert class_weights(held, KEYS, cap=2.5).max() == 2.5


def test_nothing_held_at_all_weighs_everything_the_same():
    assert class_weights(np.zeros((4, 3), bool), KEYS).tolist() == [1, 1, 1]


def test_cross_entropy_by_hand():
    assert loss() == pytest.approx(entropy(LOGITS, ACTIONS).mean(), rel=1e-5)
    weights = jnp.array([1.0, 2.0, 0.5])
    assert loss(weights=weights) == pytest.approx((entropy(LOGITS, ACTIONS) * np.asarray(weights)).mean(), rel=1e-5)


def test_focal_loss_by_hand():
    p = 1 / (1 + np.exp(-np.asarray(LOGITS, np.float64)))
    y = np.asarray(ACTIONS)
    right = np.where(y > 0, p, 1 - p)
    alpha = np.where(y > 0, 0.3, 0.7)
    expected = (alpha * (1 - right) ** 1.5 * entropy(LOGITS, ACTIONS)).mean()
    assert loss(type="focal", alpha=0.3, gamma=1.5) == pytest.approx(expected, rel=1e-5)


def test_filler_rows_do_not_count():
    valid = jnp.array([True, False, True, True, False])
    assert loss(valid=valid) == pytest.approx(loss(*(x[np.asarray(valid)] for x in (LOGITS, ACTIONS, BEFORE))))
    total, share = action_loss(LOGITS, ACTIONS, BEFORE, jnp.zeros((5, 2), bool), ONES, LossConfig())
    assert (float(total), float(share)) == (0, 0)


def test_onsets_weigh_more_by_hand():
    actions = jnp.array([[[1.0, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 1, 0]]])
    before = jnp.array([[1.0, 0, 0], [0, 0, 0]])
    each = entropy(LOGITS[:2], actions).mean(-1)
    share = np.array([[1, 1], [1, 7]])  # only the last moment changes
    expected = (each * share).sum() / share.sum()
    assert loss(LOGITS[:2], actions, before, onset_weight=7.0) == pytest.approx(expected, rel=1e-5)


def test_an_onset_is_told_from_the_moment_before_not_from_the_first():
    """A key that goes down and stays down changes once."""
    actions = jnp.array([[[1.0, 0, 0], [1, 0, 0]]])
    before = jnp.zeros((1, 3))
    each = entropy(LOGITS[:1], actions).mean(-1)
    share = np.array([[7, 1]])
    expected = (each * share).sum() / share.sum()
    assert loss(LOGITS[:1], actions, before, onset_weight=7.0) == pytest.approx(expected, rel=1e-5)


def test_smoothing_makes_no_onsets():
    """Nothing changes, so a weight of onsets changes nothing, however smooth the labels are."""
    still = jnp.broadcast_to(BEFORE[:, None], (5, 2, 3))
    assert loss(actions=still, onset_weight=50.0, smoothing=0.1) == pytest.approx(loss(actions=still, smoothing=0.1))
    moving = loss(onset_weight=50.0, smoothing=0.1)
    assert moving != pytest.approx(loss(smoothing=0.1))


def test_smoothing_by_hand():
    labels = np.asarray(ACTIONS) * 0.8 + 0.1
    assert loss(smoothing=0.2) == pytest.approx(entropy(LOGITS, labels).mean(), rel=1e-5)


def rates(batches, *overrides) -> Any:
    made: Any = schedule(config("pure_cnn", *overrides).training, batches)
    return np.asarray(jax.vmap(made)(jnp.arange(batches * 4))).tolist()


BASE = ("training.num_epochs=4", "training.learning_rate=0.1", "training.lr_schedule.warmup_epochs=1")


def test_the_rate_warms_up_and_falls_by_the_step():
    found = rates(10, *BASE, "training.lr_schedule.min_lr=0.01")
    assert found[0] == pytest.approx(0.1 / 11)
    assert np.all(np.diff(found[:11]) > 0)
    assert found[10] == pytest.approx(0.1)
    assert np.all(np.diff(found[10:]) < 0)
    assert found[25] == pytest.approx(0.055)  # half way down
    assert found[-1] == pytest.approx(0.01, rel=0.1)


def test_a_constant_rate_stays():
    assert rates(10, *BASE, "training.lr_schedule.type=constant")[10:] == pytest.approx([0.1] * 30)


def test_the_schedule_counts_steps_of_the_optimizer():
    found = rates(10, *BASE, "training.accumulation=2", "training.lr_schedule.min_lr=0.01")
    assert found[5] == pytest.approx(0.1)
    assert found[20] == pytest.approx(0.01)


def test_a_least_rate_above_the_rate_is_named():
    with pytest.raises(UserError, match=r"min_lr 0\.5 is above"):
        rates(1, "training.lr_schedule.min_lr=0.5")


def one_step(gradients, weights, *overrides):
    made: Any = optimizer(config("pure_cnn", *BASE, "training.lr_schedule.warmup_epochs=0", *overrides).training, 10)

    @jax.jit
    def run(weights):
        state = made.init(weights)
        for gradient in gradients:
            updates, state = made.update(gradient, state, weights)
            weights = optax.apply_updates(weights, updates)
        return weights

    return run(weights)


def test_only_kernels_decay():
    weights = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    still = jax.tree.map(jnp.zeros_like, weights)
    after = one_step([still], weights, "training.weight_decay=0.5")
    assert float(after["kernel"][0, 0]) == pytest.approx(1 - 0.1 * 0.5)
    assert float(after["bias"][0]) == 1


def test_gradients_of_several_batches_are_one_step():
    weights = {"kernel": jnp.zeros((2, 2))}
    gradients = [{"kernel": jnp.full((2, 2), g)} for g in (1.0, 3.0)]
    options = ("training.weight_decay=0", "training.grad_clip_norm=0")
    mean = {"kernel": jnp.full((2, 2), 2.0)}
    together = one_step(gradients, weights, *options, "training.accumulation=2")
    np.testing.assert_allclose(together["kernel"], one_step([mean], weights, *options)["kernel"], rtol=1e-6)
    waiting = one_step(gradients[:1], weights, *options, "training.accumulation=2")
    assert not waiting["kernel"].any()


def test_gradients_are_clipped_before_they_are_averaged_over_time():
    """Adam's first step hides the length of a gradient, the second shows it."""
    weights = {"kernel": jnp.zeros((2, 2))}
    gradients = [{"kernel": jnp.full((2, 2), g)} for g in (100.0, 1.0)]
    free = one_step(gradients, weights, "training.grad_clip_norm=0")["kernel"]
    clipped = one_step(gradients, weights, "training.grad_clip_norm=1")["kernel"]
    small = one_step([{"kernel": jnp.full((2, 2), 0.5)}] * 2, weights, "training.grad_clip_norm=0")["kernel"]
    np.testing.assert_allclose(clipped, small, rtol=1e-4)
    assert not np.allclose(free, small, rtol=1e-2)
