"""The training loss: weighted binary cross-entropy per action, or focal loss."""

import logging
from collections.abc import Sequence
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from protege.cloning.config import LossConfig

log = logging.getLogger(__name__)
SPREAD: Final = 1 / 6
"""What each bin of the mouse gives to the bin on either side."""


def class_weights(actions: NDArray[np.bool_], keys: Sequence[str], cap: float = 10.0) -> NDArray[np.float32]:
    """(A,) weights of the actions: inverse frequencies over their mean, at most `cap`.

    actions: (N, A) of the training episodes. An action that never occurs is logged, left out of the mean and weighs 1:
    it is learned as never held, and the others' weights do not depend on it.
    """
    counts = actions.sum(0)
    if absent := [key for key, count in zip(keys, counts, strict=True) if not count]:
        log.warning("never held in the training episodes: %s; they weigh 1, and are never pressed", ", ".join(absent))
    weights = np.ones(len(keys), np.float32)
    there = counts > 0
    if there.any():
        inverse = len(actions) / counts[there]
        weights[there] = np.minimum(inverse / inverse.mean(), cap)
    return weights


def policy_loss(
    logits: jax.Array,
    actions: jax.Array,
    before: jax.Array,
    known: jax.Array,
    weights: jax.Array,
    config: LossConfig,
    label_smoothing: float = 0.0,
    axes: Sequence[slice] = (),
) -> tuple[jax.Array, jax.Array]:
    """`action_loss` of the keys and `look_loss` of the mouse, each axis of which counts as much as a key.

    axes: the columns of the bins of each axis, behind those of the keys
    """
    keys = slice(0, axes[0].start if axes else None)
    parts = (logits[..., keys], actions[..., keys], before[..., keys], known, weights[keys])
    total, share = action_loss(*parts, config, label_smoothing)
    if not axes:
        return total, share
    looked, moments = look_loss(logits, actions, known, axes, label_smoothing)
    number = parts[0].shape[-1]
    mean = (number * total / jnp.maximum(share, 1) + looked / jnp.maximum(moments, 1)) / (number + len(axes))
    return mean * jnp.maximum(moments, 1), moments


def look_loss(
    logits: jax.Array, actions: jax.Array, known: jax.Array, axes: Sequence[slice], label_smoothing: float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """(sum over the axes of the softmax cross-entropies of their bins, number of known moments)."""
    share = known.astype(logits.dtype)
    total = jnp.zeros((), logits.dtype)
    for axis in axes:
        labels = optax.smooth_labels(_spread(actions[..., axis]), label_smoothing)
        total += (optax.softmax_cross_entropy(logits[..., axis], labels) * share).sum()
    return total, share.sum()


def _spread(bins: jax.Array) -> jax.Array:
    """(..., B) one-hot labels with a share of each given to the bins beside it: a turn that is a little too far is
    nearly right, and what is learned of one bin helps its neighbours (Imani and White 2018, Improving Regression
    Performance with Distributional Losses). The bin that stands still keeps all, so that a policy can be sure of it.
    """
    padded = jnp.pad(bins, [(0, 0)] * (bins.ndim - 1) + [(1, 1)], mode="edge")
    spread = (1 - 2 * SPREAD) * bins + SPREAD * (padded[..., :-2] + padded[..., 2:])
    middle = bins.shape[-1] // 2
    return jnp.where(bins[..., middle : middle + 1] > 0, bins, spread)


def action_loss(
    logits: jax.Array,
    actions: jax.Array,
    before: jax.Array,
    known: jax.Array,
    weights: jax.Array,
    config: LossConfig,
    label_smoothing: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """(sum of weighted losses, sum of weights) of the keys: over any parts of a batch, the sums' quotient is the loss.

    logits, actions: (B, H, A)
    before: (B, A) actions before the first of the H
    known: (B, H) False for padding rows and past an episode's end
    weights: (A,) of the actions

    An onset is a time step at which any true label changes, whatever the smoothing. Focal loss: Lin et al. 2017, Focal
    Loss for Dense Object Detection.
    """
    labels = actions * (1 - label_smoothing) + 0.5 * label_smoothing
    if config.type == "focal":
        each = optax.sigmoid_focal_loss(logits, labels, alpha=config.alpha, gamma=config.gamma)
    else:
        each = optax.sigmoid_binary_cross_entropy(logits, labels)
    moment = (each * weights).mean(-1)  # (B, H)
    share = known.astype(moment.dtype)
    if config.onset_weight > 1:
        earlier = jnp.concatenate([before[:, None], actions[:, :-1]], axis=1)
        onset = (earlier != actions).any(-1)
        share = share * jnp.where(onset, config.onset_weight, 1.0)
    return (moment * share).sum(), share.sum()
