"""The convolution that the policies use is JAX's own, with the same gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from protege.cloning.convs import conv, parts

LAYOUT = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize("rows", [1, 6, 16])
@pytest.mark.parametrize(("stride", "size"), [(1, (6, 8)), (2, (6, 8)), (2, (7, 9))])
def test_it_is_the_plain_convolution(rows: int, stride: int, size: tuple[int, int]) -> None:
    keys = jax.random.split(jax.random.key(rows), 3)
    x, kernel = jax.random.normal(keys[0], (rows, *size, 3)), jax.random.normal(keys[1], (3, 3, 3, 5))

    def ours(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return conv(x, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT)

    def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT)

    found, back = jax.vjp(ours, x, kernel)
    wanted, wanted_back = jax.vjp(plain, x, kernel)
    np.testing.assert_array_equal(found, wanted)
    answer = jax.random.normal(keys[2], found.shape)
    for mine, theirs in zip(back(answer), wanted_back(answer), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def test_half_precision_stays_half() -> None:
    x, kernel = jnp.ones((8, 4, 4, 2), jnp.bfloat16), jnp.ones((3, 3, 2, 2), jnp.bfloat16)
    gradient = jax.grad(lambda k: conv(x, k, (1, 1), "SAME", dimension_numbers=LAYOUT).sum())(kernel)
    assert gradient.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("rows", "devices", "expected"), [(16, 1, 8), (16, 4, 4), (6, 1, 2), (2, 4, 1), (9, 4, 1), (10, 4, 2), (7, 1, 1)]
)
def test_parts_are_equal_and_each_has_rows_of_every_device(rows: int, devices: int, expected: int) -> None:
    assert parts(rows, devices) == expected
    assert rows % expected == 0
