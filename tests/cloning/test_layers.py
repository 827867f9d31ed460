"""Parts of the models against the library's own, or against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from protege.cloning.layers import Attention, Film, GoalEncoder, Inputs, Norm
from protege.cloning.steps import Network, Setting
from tests.cloning.tiny import config


def test_batch_statistics_leave_filler_rows_out_as_flax_does_with_a_mask_of_every_number():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (6, 4, 5, 3))  # two frames of each of three rows
    valid = jnp.array([True, False, True])
    ours = Norm(3, use=True, rngs=nnx.Rngs(0), dtype=jnp.float32)
    theirs = nnx.BatchNorm(3, momentum=0.9, rngs=nnx.Rngs(0))
    assert ours.norm is not None
    for norm in (ours.norm, theirs):
        assert norm.scale is not None
        assert norm.bias is not None
        norm.scale[...], norm.bias[...] = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 1.0, -1.0])
    mask = jnp.repeat(valid, 2).reshape(-1, 1, 1, 1)
    expected = theirs(x, use_running_average=False, mask=mask)
    np.testing.assert_allclose(ours(x, True, valid), expected, atol=1e-5)
    np.testing.assert_allclose(ours.norm.mean[...], theirs.mean[...], atol=1e-6)
    np.testing.assert_allclose(ours.norm.var[...], theirs.var[...], atol=1e-5)
    expected = theirs(x, use_running_average=True)
    np.testing.assert_allclose(ours(x, False, valid), expected, atol=1e-5)


def test_a_goal_scales_and_shifts_the_channels_of_its_own_row():
    film = Film(2, 3, rngs=nnx.Rngs(0), dtype=jnp.float32)
    assert film.linear.bias is not None
    film.linear.kernel[...] = jnp.array([[1.0, 2, 3, 10, 20, 30], [0, 0, 0, 5, 5, 5]])
    x = jnp.full((4, 2, 3), 2.0)  # two frames of each of two rows
    found = film(x, jnp.array([[1.0, 0], [0, 1]]))
    np.testing.assert_allclose(found[0], [[14, 26, 38]] * 2)
    np.testing.assert_allclose(found[1], found[0])
    np.testing.assert_allclose(found[2:], 7)


def test_a_sentence_is_the_mean_of_its_words_without_the_empty_places():
    model = config("pure_cnn", "model.goal=sentence").model
    encoder = GoalEncoder(model, goals=2, rngs=nnx.Rngs(0), dtype=jnp.float32)
    words = encoder.embed(jnp.array([[5, 9]])).mean(1)
    expected = nnx.relu(encoder.linear(words))
    np.testing.assert_allclose(encoder(jnp.array([[5, 9, 0, 0]])), expected, atol=1e-6)
    nothing = encoder(jnp.zeros((1, 4), jnp.int32))
    np.testing.assert_allclose(nothing, nnx.relu(encoder.linear(jnp.zeros((1, model.goal_features)))), atol=1e-6)


def test_attention_adds_to_what_it_was_given_and_sees_only_what_the_mask_lets_it():
    block = Attention(8, 2, 0.0, rngs=nnx.Rngs(0), dtype=jnp.float32)
    x = jax.random.normal(jax.random.key(0), (1, 3, 8))
    later = x.at[:, 2].set(0)
    mask = nnx.make_causal_mask(jnp.ones((1, 3)))
    np.testing.assert_allclose(block(x, False, None, mask=mask)[:, :2], block(later, False, None, mask=mask)[:, :2])
    assert not np.allclose(block(x, False, None)[:, :2], block(later, False, None)[:, :2], atol=1e-3)
    for part in (block.attend.out, block.down):
        assert part.bias is not None
        part.kernel[...], part.bias[...] = jnp.zeros_like(part.kernel[...]), jnp.zeros_like(part.bias[...])
    np.testing.assert_allclose(block(x, False, None), x)


@pytest.mark.parametrize(("name", "options"), [("gru", ()), ("temporal_cnn", ("model.mode=recurrent",))])
def test_what_is_read_last_counts_most(name, options):
    found = config(name, "model.num_frames=6", "model.dropout_rate=0", *options)
    network = Network(found, Setting(("w", "a"), (), (16, 24)))
    weights, stats = jax.jit(network.init)(jax.random.key(1))
    frames = jax.random.uniform(jax.random.key(0), (1, 6, 16, 24, 3))
    rows = jnp.repeat(frames, 3, axis=0).at[1, 0].set(0).at[2, -1].set(0)
    previous = jnp.zeros((3, found.model.action_history, 2))
    plain, first, last = np.asarray(jax.jit(network.logits)(weights, stats, Inputs(rows, previous)))
    assert 0 < 2 * np.abs(first - plain).max() < np.abs(last - plain).max()
