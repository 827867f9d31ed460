"""docs/cloning.md: every key of the configuration stands in it, its commands exist, and its model trains."""

import dataclasses
import re
from pathlib import Path

import click
import pytest

from protege import cli
from protege.cloning import models
from protege.cloning.config import CloningConfig, load
from protege.cloning.evaluate import evaluate
from protege.cloning.train import train
from protege.errors import UserError
from protege.settings import to_fields
from tests.cloning.stores import store

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "cloning.md").read_text(encoding="utf-8")


def keys(kind, prefix=""):
    """Every key of the configuration, as it is written on the command line."""
    for field in dataclasses.fields(kind):
        inner = field.default_factory
        if dataclasses.is_dataclass(inner):
            yield from keys(inner, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field


def block(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("key", [key for key, _ in keys(CloningConfig)])
def test_every_key_of_the_configuration_is_explained(key):
    section, _, rest = key.partition(".")
    assert f"`{rest}`" in TEXT or f"`{section}.{rest}`" in TEXT


@pytest.mark.parametrize("name", models.names())
def test_every_model_is_listed_with_keys_it_has(name):
    (row,) = re.findall(rf"^\| `{name}` \|.*$", TEXT, re.MULTILINE)
    fields = {field.name for field in dataclasses.fields(models.options_of(name))}
    assert set(re.findall(r"`(\w+)`", row.rsplit("|", 2)[1])) <= fields


def test_its_commands_exist():
    named = set(re.findall(r"protege (\w+) ([a-z][a-z-]+)", TEXT))
    groups = {name: cli.cli.get_command(None, name) for name in cli.COMMANDS}  # type: ignore[arg-type]
    for name, sub in named:
        group = groups[name]
        assert group is not None
        if isinstance(group, click.Group):
            assert sub in group.commands, f"protege {name} {sub}"
    assert ("clone", "evaluate") in named


@pytest.fixture
def beside(tmp_path):
    """A second folder of the package `models`."""
    models.__path__.append(str(tmp_path))
    yield tmp_path
    models.__path__.remove(str(tmp_path))


@pytest.mark.usefixtures("beside")
def test_a_model_is_added_by_one_file_and_one_yaml(tmp_path):
    code, yaml = next(text for text in block("python") if "create_model" in text), block("yaml")[0]
    (tmp_path / "linear.py").write_text(code, encoding="utf-8")
    (tmp_path / "linear.yaml").write_text(yaml, encoding="utf-8")
    with pytest.raises(UserError, match=r"unknown key model.scal; did you mean model.scale\?"):
        load(tmp_path / "linear.yaml", ["model.scal=3"])
    data, folder = store(tmp_path / "episodes.zarr"), tmp_path / "model"
    settings = (f"dataset.path={data}", f"training.checkpoint_dir={folder}", "training.num_epochs=1")
    config = load(tmp_path / "linear.yaml", [*settings, "system.compile_cache=null"])
    assert to_fields(config.model)["scale"] == 0.5
    train(config)
    assert evaluate(folder).evaluation.about.get("kind") == "linear"
