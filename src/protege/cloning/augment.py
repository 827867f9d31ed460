"""Augmentation of training samples, inside jit; where a change would make an action wrong, the action changes, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import jax
import jax.numpy as jnp

from protege.cloning.config import AugmentConfig

_SIDES: Final = (("left", "right"), ("a", "d"))
_GREY: Final = (0.299, 0.587, 0.114)
"""Luma weights of red, green and blue (ITU-R BT.601)."""


class Sample(NamedTuple):
    """frames: (B, T, 3, H, W) float32, 0 to 255; actions: (B, H, A); previous: (B, K, A); state: (B, F) or None."""

    frames: jax.Array
    actions: jax.Array
    previous: jax.Array
    state: jax.Array | None = None


@dataclass(frozen=True)
class Mirror:
    """What mirroring does. actions: (A,) indices of the mirrored actions; state: (F,) 1, or -1 for a turned sign."""

    actions: tuple[int, ...]
    state: tuple[int, ...] = ()


def mirror(keys: Sequence[str], state: Sequence[int] = ()) -> Mirror:
    """Pair actions whose names differ by left and right ("move_left", "turn right", "left"), and a with d."""
    at = {key: n for n, key in enumerate(keys)}
    return Mirror(tuple(at.get(_other(key), n) for key, n in at.items()), tuple(state))


def _other(key: str) -> str:
    """An action's name with left and right exchanged."""
    for one, two in _SIDES:
        if key in (one, two):
            return two if key == one else one
    return key.replace("left", "\0").replace("right", "left").replace("\0", "right")


def augment(key: jax.Array, sample: Sample, config: AugmentConfig, sides: Mirror) -> Sample:
    """Apply the config's changes, drawn for each sample and the same for all of its frames."""
    jitter, crop, colour, flip = jax.random.split(key, 4)
    frames = sample.frames
    if config.temporal_jitter and frames.shape[1] > 1:
        frames = _jitter_time(jitter, frames, config.temporal_jitter)
    if config.history_dropout and frames.shape[1] > 1:
        # Its key is derived, not split off with the others: what they draw stays what it was.
        frames = _drop_history(jax.random.fold_in(jitter, 1), frames, config.history_dropout)
    if config.crop:
        frames = _move(crop, frames, config.crop)
    if config.brightness or config.contrast or config.saturation:
        frames = _recolour(colour, frames, config)
    sample = sample._replace(frames=frames)
    return _flip(flip, sample, config.flip, sides) if config.flip else sample


def _jitter_time(key: jax.Array, frames: jax.Array, share: float) -> jax.Array:
    """Replace one older frame of a share of the samples by the next: in play frames are never quite in time."""
    count, length = frames.shape[:2]
    which, whether = jax.random.split(key)
    late = jax.random.randint(which, (count,), 0, length - 1)
    late = jnp.where(jax.random.bernoulli(whether, share, (count,)), late, -1)
    take = jnp.arange(length) + (jnp.arange(length) == late[:, None])
    return jnp.take_along_axis(frames, take[:, :, None, None, None], axis=1)


def _drop_history(key: jax.Array, frames: jax.Array, share: float) -> jax.Array:
    """Replace all earlier frames of a share of the samples by the newest, as if nothing had happened before."""
    dropped = jax.random.bernoulli(key, share, (frames.shape[0], 1, 1, 1, 1))
    return jnp.where(dropped, frames[:, -1:], frames)


def _move(key: jax.Array, frames: jax.Array, most: int) -> jax.Array:
    """Shift each sample by up to `most` pixels in both directions, edges repeated (a random crop)."""
    count, _, _, height, width = frames.shape
    by = jax.random.randint(key, (count, 2), -most, most + 1)

    def moved(picture: jax.Array, shift: jax.Array) -> jax.Array:
        rows = jnp.clip(jnp.arange(height) + shift[0], 0, height - 1)
        columns = jnp.clip(jnp.arange(width) + shift[1], 0, width - 1)
        return picture[:, :, rows][..., columns]

    return jax.vmap(moved)(frames, by)


def _recolour(key: jax.Array, frames: jax.Array, config: AugmentConfig) -> jax.Array:
    """Scale brightness, then contrast about the sample's mean, then saturation about each pixel's grey."""
    count = frames.shape[0]
    parts = (config.brightness, config.contrast, config.saturation)
    factors = [
        1 + jax.random.uniform(part_key, (count, 1, 1, 1, 1), minval=-part, maxval=part)
        for part_key, part in zip(jax.random.split(key, 3), parts, strict=True)
    ]
    frames = frames * factors[0]
    mean = frames.mean(axis=(1, 2, 3, 4), keepdims=True)
    frames = mean + (frames - mean) * factors[1]
    grey = jnp.tensordot(frames, jnp.array(_GREY), axes=[[2], [0]])[:, :, None]
    return jnp.clip(grey + (frames - grey) * factors[2], 0, 255)


def _flip(key: jax.Array, sample: Sample, share: float, sides: Mirror) -> Sample:
    """Mirror a share of the samples, and exchange their left and right actions."""
    flipped = jax.random.bernoulli(key, share, (sample.frames.shape[0],))
    exchanged = jnp.array(sides.actions)

    def chosen(mirrored: jax.Array, plain: jax.Array) -> jax.Array:
        return jnp.where(flipped.reshape(-1, *[1] * (plain.ndim - 1)), mirrored, plain)

    state = sample.state
    if state is not None and sides.state:
        state = chosen(state * jnp.array(sides.state, dtype=state.dtype), state)
    return Sample(
        chosen(sample.frames[..., ::-1], sample.frames),
        chosen(sample.actions[..., exchanged], sample.actions),
        chosen(sample.previous[..., exchanged], sample.previous),
        state,
    )
