"""AdamW with a learning-rate schedule, gradient clipping and gradient accumulation."""

import sys

import jax
import optax

from protege.cloning.config import TrainingConfig
from protege.errors import UserError


def last_step(config: TrainingConfig, batches: int) -> int:
    """The number of steps of a whole training. batches: in an epoch."""
    return min(config.num_epochs * batches, config.max_steps or sys.maxsize)


def schedule(config: TrainingConfig, batches: int) -> optax.Schedule:
    """The learning rate of each step of the optimiser, lowest at the end of training. batches: in an epoch."""
    shape, rate = config.lr_schedule, config.learning_rate
    total = max(1, last_step(config, batches) // config.accumulation)
    warmup = min(round(shape.warmup_epochs * batches / config.accumulation), total - 1)
    if shape.type == "cosine" and shape.min_lr > rate:
        raise UserError(f"training.lr_schedule.min_lr {shape.min_lr:g} is above training.learning_rate {rate:g}")
    start = rate / (warmup + 1)  # not 0, at which the first step would learn nothing
    if shape.type == "cosine":
        return optax.warmup_cosine_decay_schedule(start, rate, warmup, total, shape.min_lr)
    return optax.warmup_constant_schedule(start, rate, warmup)


def optimizer(config: TrainingConfig, batches: int) -> optax.GradientTransformation:
    """Clipping, then AdamW; weight decay leaves out biases and scales."""
    parts = [optax.clip_by_global_norm(config.grad_clip_norm)] if config.grad_clip_norm else []
    parts.append(optax.adamw(schedule(config, batches), weight_decay=config.weight_decay, mask=_decays))
    chained = optax.chain(*parts)
    if config.accumulation == 1:
        return chained
    return optax.MultiSteps(chained, config.accumulation).gradient_transformation()


def _decays(weights: optax.Params) -> optax.Params:
    return jax.tree.map(lambda weight: weight.ndim > 1, weights)
