"""Configurations: every key has an effect, the shipped ones load, mistakes are named with the nearest match."""

import ast
import dataclasses
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from protege.cloning import models
from protege.cloning.config import CloningConfig, from_fields, load
from protege.cloning.data import loader_options
from protege.cloning.state import StateEncoder
from protege.cloning.steps import Network, Setting
from protege.errors import UserError
from protege.settings import shipped, to_fields, to_yaml
from tests.cloning.tiny import config

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "protege" / "cloning"


def keys(kind, prefix=""):
    """Every key of a section, as (its dotted name, its own)."""
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type):
            yield from keys(field.type, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field.name


def reads(path):
    """Names that a file reads as an attribute, outside of the checks of a configuration's own class."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checks = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "__post_init__"
        for inner in ast.walk(node)
    }
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node not in checks
    }


def read_anywhere():
    """Names read in the library of cloning, its models left out."""
    files = [path for path in SOURCE.glob("*.py") if path.name != "config.py"]
    found = set().union(*(reads(path) for path in files))
    # DatasetConfig.ratios hands these three on
    return found | {"train_ratio", "val_ratio", "test_ratio"} if "ratios" in found else found


SECTIONS = [field for field in dataclasses.fields(CloningConfig) if field.name != "model"]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda field: field.name)
def test_every_key_is_read_somewhere(section):
    read = read_anywhere()
    unread = [name for name, own in keys(section.type, f"{section.name}.") if own not in read]
    assert not unread


OTHER = {"pool": "keypoints", "goal": "sentence", "mode": "stack"}
FIRST = {"temporal_cnn": ["model.mode=recurrent"]}


def changed(key, value):
    """Another value that a key may have, as an override."""
    if isinstance(value, bool):
        return str(not value).lower()
    if isinstance(value, tuple):
        return str([2 * item for item in value])
    return str({int: lambda: 2 * value or 2, float: lambda: value / 2, str: lambda: OTHER[key]}[type(value)]())


def made(name, *overrides):
    """A tiny network of a model that is given a goal, and its configuration."""
    state = StateEncoder.fit(np.arange(38, dtype=np.float32).reshape(2, 19))
    found = config(name, "model.goal=index", *FIRST.get(name, []), *overrides)
    return Network(found, Setting(("a", "b", "c"), ("x", "y"), (16, 32), state)), found


def shapes(network):
    return jax.tree.map(lambda leaf: leaf.shape, network.weights)


def arithmetic(network, found):
    """What a step of training computes, as text."""
    k, n = found.model.action_history, found.model.num_frames
    sizes = {"frames": (2, n, 3, 16, 32), "previous": (2, max(k, 1), 3), "goal": (2,)}
    batch = {key: jnp.zeros(shape, jnp.int32 if key == "goal" else jnp.float32) for key, shape in sizes.items()}
    batch["state"] = jnp.zeros((2, network.setting.shape.state))
    run = lambda weights, stats: network.train_logits(weights, stats, network.inputs(batch), jax.random.key(0))  # noqa: E731
    return str(jax.make_jaxpr(run)(network.weights, network.stats))


@pytest.mark.parametrize("name", models.names())
def test_every_key_of_a_model_changes_its_weights_its_arithmetic_or_what_it_is_shown(name):
    network, found = made(name)
    before = None
    for field in dataclasses.fields(found.model):
        if field.name == "name":
            continue
        value = changed(field.name, getattr(found.model, field.name))
        other, changed_config = made(name, f"model.{field.name}={value}")
        if loader_options(changed_config) != loader_options(found):
            continue
        if shapes(other) != shapes(network):
            continue
        before = before or arithmetic(network, found)
        assert arithmetic(other, changed_config) != before, f"model.{field.name} of {name}"


def test_the_same_configuration_computes_the_same():
    assert arithmetic(*made("pure_cnn")) == arithmetic(*made("pure_cnn"))


def test_a_key_that_nothing_reads_would_be_found():
    @dataclasses.dataclass
    class Section:
        learning_rate: float = 0
        gradient_clip_colour: float = 0

    read = read_anywhere()
    assert [own for _, own in keys(Section) if own not in read] == ["gradient_clip_colour"]


@pytest.mark.parametrize("name", [*models.names(), "arena_goal", "arena_memory"])
def test_the_shipped_configurations_load_and_say_how_to_run_them(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = shipped(f"{name}.yaml")
    found = load(path)
    assert found.model.name == {"arena_goal": "pure_cnn", "arena_memory": "temporal_cnn"}.get(name, name)
    assert found.training.checkpoint_dir == f"models/cloning/{name}"
    header = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert f"python -m BC_training --config configs/{name}.yaml" in header
    assert "Expected: " in header


def test_an_installed_package_has_the_configurations_where_they_are_looked_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"configs": "protege/configs"}
    assert shipped("gru.yaml") == ROOT / "configs" / "gru.yaml"


def test_the_baseline_lists_every_key_with_its_default():
    written, default = load(ROOT / "configs" / "pure_cnn.yaml"), load(None)
    assert written == default
    text = (ROOT / "configs" / "pure_cnn.yaml").read_text(encoding="utf-8")
    hidden = {"max_steps", "goal_features", "ratios", "relative", "distances", "directions", "animations"}
    assert [own for _, own in keys(CloningConfig) if own not in hidden and f" {own}:" not in text] == []


def test_a_configuration_survives_json_and_yaml(tmp_path):
    found = load(ROOT / "configs" / "causal_transformer.yaml", ["model.num_heads=2", "dataset.frame_size=[16,24]"])
    assert from_fields(to_fields(found)) == found
    (tmp_path / "c.yaml").write_text(to_yaml(found))
    assert load(tmp_path / "c.yaml") == found


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.batchsize=3", "unknown key training.batchsize; did you mean training.batch_size?"),
        ("model.num_frames=3", "unknown key model.num_frames; did you mean"),
        ("trainng.batch_size=3", "unknown key trainng; did you mean training?"),
        ("model.name=pure_cn", "did you mean pure_cnn?"),
        ("model.pool=max", "model.pool is one of mean, keypoints"),
        ("model.goal=text", "model.goal is one of none, index, sentence"),
        ("model.conv_features=[]", "model.conv_features"),
        ("model=3", "model is a group of keys"),
        ("training.learning_rate=2", "training.learning_rate lies between 0 and 1"),
        ("training.loss.type=mse", "training.loss.type is one of bce, focal"),
        ("dataset.train_ratio=0.5", "sum to 1"),
        ("dataset.frame_size=[4,4]", "dataset.frame_size is [height, width] from 8"),
        ("system.num_workers=-1", "system.num_workers lies between 0 and 64"),
    ],
)
def test_mistakes_are_named(override, words):
    with pytest.raises(UserError) as found:
        load(None, [override])
    assert words in str(found.value)


@pytest.mark.parametrize("name", ["vit_policy", "causal_transformer", "action_chunking"])
def test_heads_divide_the_width_of_a_token(name):
    with pytest.raises(UserError, match="is not a multiple of num_heads"):
        load(None, [f"model.name={name}", "model.hidden_size=10", "model.num_heads=3"])


def test_other_options_of_models_are_checked():
    with pytest.raises(UserError, match="mode is one of stack, recurrent"):
        load(None, ["model.name=temporal_cnn", "model.mode=gru"])
    with pytest.raises(UserError, match="stage_sizes"):
        load(None, ["model.name=resnet_policy", "model.stage_sizes=[1]"])
