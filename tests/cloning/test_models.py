"""Models: the documented sizes, shapes, filler rows that change nothing, goals that change answers, a new one added."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportCallIssue=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from protege.cloning import models
from protege.cloning.config import load
from protege.cloning.goals import WORDS, goal_numbers, goal_table, word_numbers
from protege.cloning.layers import Inputs, pooled
from protege.cloning.state import StateEncoder
from protege.cloning.steps import Network, Setting
from protege.errors import UserError
from tests.cloning.tiny import config

KEYS = ("w", "a", "d")


def setting(goals=("go left", "go right")):
    return Setting(KEYS, goals, (16, 24), StateEncoder.fit(np.arange(38, dtype=np.float32).reshape(2, 19)))


def inputs(model, batch=4, seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    return Inputs(
        jax.random.uniform(keys[0], (batch, model.num_frames, 16, 24, 3)),
        jax.random.bernoulli(keys[1], 0.3, (batch, model.action_history, 3)).astype(jnp.float32),
        jax.random.uniform(keys[2], (batch, setting().shape.state)),
    )


def test_the_documented_baseline_has_655623_weights():
    network = Network(load(None), Setting(tuple("abcdefg"), (), (144, 256)))
    assert network.num_weights == 655_623


def test_the_baseline_has_as_many_weights_for_any_picture():
    assert Network(load(None), Setting(tuple("abcdefg"), (), (288, 512))).num_weights == 655_623


@pytest.mark.parametrize("name", models.names())
def test_every_model_answers_with_logits_of_each_action_of_the_horizon(name):
    found = config(name, "model.goal=sentence", "model.horizon=2", "training.precision=bfloat16")
    network = Network(found, setting())
    shown = inputs(found.model)._replace(goal=jnp.ones((4, WORDS), jnp.int32), valid=jnp.ones(4, bool))
    logits, stats = jax.eval_shape(network.train_logits, network.weights, network.stats, shown, jax.random.key(0))
    assert (logits.shape, logits.dtype) == ((4, 2, 3), jnp.float32)
    assert jax.tree.structure(stats) == jax.tree.structure(network.stats)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(network.weights)), "weights stay float32"


@pytest.fixture(scope="module")
def baseline():
    network = Network(config("pure_cnn", "model.goal=sentence", "model.dropout_rate=0.5"), setting())
    return network, *jax.jit(network.init)(jax.random.key(1))


def test_rows_that_only_fill_up_a_batch_change_nothing(baseline):
    network, weights, stats = baseline
    model = network.config.model
    goal = jnp.asarray(goal_table(("go left",)))[jnp.zeros(4, int)]
    first = inputs(model, 4)._replace(goal=goal, valid=jnp.array([True, True, False, False]))
    junk = first._replace(frames=first.frames.at[2:].set(1e3))
    plain = Network(config("pure_cnn", "model.goal=sentence", "model.dropout_rate=0"), setting())
    run = jax.jit(plain.train_logits)
    (a, after_a), (b, after_b) = (run(weights, stats, shown, jax.random.key(0)) for shown in (first, junk))
    np.testing.assert_allclose(a[:2], b[:2], atol=1e-5)
    for one, other, before in zip(*map(jax.tree.leaves, (after_a, after_b, stats)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert not np.allclose(one, before), "statistics move"
    without, moved = run(weights, stats, junk._replace(valid=None), jax.random.key(0))
    assert not np.allclose(without[:2], a[:2], atol=1e-3), "and unmasked they would matter"
    assert moved is not None


def test_dropout_is_drawn_in_training_alone(baseline):
    network, weights, stats = baseline
    goal = jnp.asarray(goal_table(("go left",)))[jnp.zeros(4, int)]
    shown = inputs(network.config.model)._replace(goal=goal)
    train, judge = jax.jit(network.train_logits), jax.jit(network.logits)
    one, two, again = (train(weights, stats, shown, jax.random.key(seed))[0] for seed in (0, 1, 0))
    assert (one == again).all()
    assert not np.allclose(one, two)
    assert (judge(weights, stats, shown) == judge(weights, stats, shown)).all()


def test_another_goal_gives_another_answer(baseline):
    network, weights, stats = baseline
    table = jnp.asarray(goal_table(("go left", "go right")))
    judge = jax.jit(network.logits)
    one, two = (
        judge(weights, stats, inputs(network.config.model)._replace(goal=table[jnp.full(4, g)])) for g in (0, 1)
    )
    assert not np.allclose(one, two)


def test_goals_of_a_batch_become_what_the_model_takes():
    batch = {"frames": jnp.zeros((2, 1, 3, 16, 24), jnp.uint8), "previous": jnp.zeros((2, 1, 3))}
    batch["goal"] = jnp.array([1, -1])
    kinds = {
        kind: Network(config("pure_cnn", f"model.goal={kind}"), setting()) for kind in ("none", "index", "sentence")
    }
    assert kinds["none"].inputs(batch).goal is None
    assert kinds["index"].inputs(batch).goal.tolist() == [1, 2]  # the last one stands for no goal
    words = kinds["sentence"].inputs(batch).goal
    assert words[0].tolist() == word_numbers("go right").tolist()
    assert not words[1].any()
    given = jnp.ones((2, WORDS), jnp.int32)
    assert kinds["sentence"].inputs({**batch, "goal": given}).goal is given


def test_frames_are_divided_by_255_on_the_device_unless_told_otherwise():
    batch = {
        "frames": jnp.full((1, 1, 3, 16, 24), 51, jnp.uint8),
        "previous": jnp.zeros((1, 1, 3)),
        "goal": jnp.zeros(1),
    }
    assert jnp.allclose(Network(config(), setting()).inputs(batch).frames, 0.2)
    raw = Network(config("pure_cnn", "dataset.normalize_frames=false"), setting()).inputs(batch).frames
    assert (raw == 51).all()
    assert raw.shape == (1, 1, 16, 24, 3)


def test_keypoints_say_where_a_channel_looks():
    maps = np.zeros((1, 4, 5, 2), np.float32)
    maps[0, 0, 4, 0] = 50  # top right
    maps[0, 3, 0, 1] = 50  # bottom left
    np.testing.assert_allclose(pooled(jnp.asarray(maps), "keypoints"), [[1, -1, -1, 1]], atol=1e-5)
    assert pooled(jnp.asarray(maps), "mean").shape == (1, 2)


def test_every_frame_and_every_action_before_counts():
    """Rows of one batch: a moment, and the same with its first frame, its last frame or its actions changed."""
    found = config("causal_transformer", "model.dropout_rate=0")
    network, one = Network(found, setting()), inputs(found.model, batch=1)
    frames = jnp.repeat(one.frames, 4, axis=0).at[1, 0].set(0).at[2, -1].set(0)
    previous = jnp.repeat(one.previous, 4, axis=0).at[3].set(1 - one.previous[0])
    shown = one._replace(frames=frames, previous=previous, state=None)
    plain, *changed = jax.jit(lambda key: network.logits(*network.init(key), shown))(jax.random.key(0))
    assert not any(np.allclose(logits, plain, atol=1e-6) for logits in changed)


def test_words_have_the_same_numbers_everywhere():
    assert word_numbers("Go to the LANTERN!").tolist()[:4] == word_numbers("go to the lantern").tolist()[:4]
    assert word_numbers("go").tolist() == [word_numbers("go")[0]] + [0] * (WORDS - 1)
    assert len(word_numbers("a " * 40)) == WORDS
    assert goal_numbers("x", (), "none") is None
    assert goal_numbers(" Go Right", ("go left", "go right"), "index").tolist() == [1]
    assert goal_numbers("new words", (), "sentence").shape == (1, WORDS)
    with pytest.raises(UserError, match="this model knows only: go left"):
        goal_numbers("go up", ("go left",), "index")


def test_models_say_what_they_cannot_do():
    with pytest.raises(UserError, match="needs the game's state; set dataset"):
        Network(config("state_cnn"), Setting(KEYS, (), (16, 24)))
    with pytest.raises(UserError, match="patch_size 8 is larger than a picture"):
        Network(config("vit_policy"), Setting(KEYS, (), (4, 24)))
