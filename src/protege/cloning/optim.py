"""AdamW with a learning rate a step, clipping, and gradients summed over several batches."""

import sys

import jax
import optax

from protege.cloning.config import TrainingConfig
from protege.errors import UserError


def last_step(config: TrainingConfig, batches: int) -> int:
    """The step that training ends with. batches: in an epoch."""
    return min(config.num_epochs * batches, config.max_steps or sys.maxsize)


def schedule(config: TrainingConfig, batches: int) -> optax.Schedule:
    """The learning rate of each step of the optimiser, at its least where training ends. batches: in an epoch."""
    shape, rate = config.lr_schedule, config.learning_rate
    total = max(1, last_step(config, batches) // config.accumulation)
    warmup = min(round(shape.warmup_epochs * batches / config.accumulation), total - 1)
    if shape.type == "cosine" and shape.min_lr > rate:
        raise UserError(f"training.lr_schedule.min_lr {shape.min_lr:g} is above training.learning_rate {rate:g}")
    if shape.type == "cosine":
        after = optax.cosine_decay_schedule(rate, total - warmup, alpha=shape.min_lr / rate)
    else:
        after = optax.constant_schedule(rate)
    rise = optax.linear_schedule(rate / (warmup + 1), rate, warmup)
    return optax.join_schedules([rise, after], [warmup])


def optimizer(config: TrainingConfig, batches: int) -> optax.GradientTransformation:
    """Clip, then AdamW; only matrices and kernels decay, not biases and scales."""
    parts = [optax.clip_by_global_norm(config.grad_clip_norm)] if config.grad_clip_norm else []
    parts.append(optax.adamw(schedule(config, batches), weight_decay=config.weight_decay, mask=_decays))
    chained = optax.chain(*parts)
    if config.accumulation == 1:
        return chained
    return optax.MultiSteps(chained, config.accumulation).gradient_transformation()


def _decays(weights: optax.Params) -> optax.Params:
    return jax.tree.map(lambda weight: weight.ndim > 1, weights)
