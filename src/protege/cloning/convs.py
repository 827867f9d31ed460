"""Convolutions whose gradient is also fast on a CPU."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import jax
import jax.numpy as jnp

Padding = str | Sequence[tuple[int, int]]

PIECES: Final = 8
"""Parts of a batch. More would be a little faster and take longer to compile."""


def conv(x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Padding, **options: Any) -> jax.Array:
    """`jax.lax.conv_general_dilated`, as `nnx.Conv` calls it, of a batch of pictures (N, H, W, C).

    On a CPU the kernel's gradient is summed over parts of the batch: XLA computes it as a convolution whose kernel is
    the gradient of the whole output, which would not fit into a cache.
    """
    plain = partial(jax.lax.conv_general_dilated, window_strides=strides, padding=padding, **options)
    pieces = parts(len(x), jax.device_count())
    if jax.default_backend() != "cpu" or pieces < 2:
        return plain(x, kernel)

    @jax.custom_vjp
    def split(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return plain(x, kernel)

    def forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        return plain(x, kernel), (x, kernel)

    def backward(kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, kernel = kept
        (to_x,) = jax.linear_transpose(lambda x: plain(x, kernel), x)(gradient)
        shown, answers = (both.reshape(-1, pieces, *both.shape[1:]) for both in (x, gradient))
        kernels = (
            jax.linear_transpose(lambda kernel, i=i: plain(shown[:, i], kernel), kernel)(answers[:, i])[0]
            for i in range(pieces)
        )
        return to_x, sum(kernels, jnp.zeros_like(kernel))

    split.defvjp(forward, backward)
    return split(x, kernel)


def parts(rows: int, devices: int) -> int:
    """How many equal parts a batch is cut into, each with rows of every device; 1 where it cannot be cut."""
    return math.gcd(rows, max(rows // devices, 1), PIECES)
