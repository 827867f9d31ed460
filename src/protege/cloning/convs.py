"""Convolutions with a gradient that is fast on a CPU, too."""

import math
from functools import partial
from typing import Any, Final

import jax
import jax.numpy as jnp

PIECES: Final = 8
"""Parts of a batch. More are a little faster still and take longer to compile."""


def conv(x: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **options: Any) -> jax.Array:
    """`jax.lax.conv_general_dilated`, as `nnx.Conv` calls it, of a batch of pictures (N, H, W, C).

    On a CPU the kernel's gradient is summed over parts of the batch: XLA computes it as a convolution with the whole
    gradient of the output as its kernel, which does not fit into a cache otherwise.
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
    """How many equal parts of so many rows are taken, each with rows of every device; 1 where there are none."""
    return math.gcd(rows, max(rows // devices, 1), PIECES)
