"""Configurations and overrides that nobody vouches for: one line that names the key, whatever they say."""

import os
import sys
from dataclasses import dataclass, field

import pytest

from protege.cloning.config import load
from protege.errors import UserError
from protege.settings import load_config, to_fields


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Options:
    count: int = 3
    name: str = "a"
    flag: bool = False
    path: str | None = None
    inner: Inner = field(default_factory=Inner)


VALUES = (
    *("nan", "inf", "-inf", "1e400", "-1", "0", "1" + "0" * 30, "0x" + "f" * 20_000, "1" * 5_000),
    *("text", "[]", "[0]", "{}", "null", "[1000000,1000000]", "[nan]", "true", "'a\0b'", '"\\ud800"'),
    *(
        "${x}",
        "${oc.env:PROTEGE_NOWHERE}",
        "[" * 50_000,
        "{a: " * 20_000,
        "- " * 50_000,
        "!!python/object/apply:os.system [ls]",
    ),
)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "key", ["count", "name", "flag", "path", "inner", "inner.rate", "inner.sizes", "a.b.c", "", "."]
)
def test_an_override_is_taken_or_named_in_one_line(key, value):
    found, said = tried(lambda: load_config(Options, None, [f"{key}={value}"]))
    assert "\n" not in said
    assert len(said) < 500
    if found is not None:
        assert all(abs(number) < 2**63 for number in (found.count, found.inner.rate, *found.inner.sizes))
        assert "\0" not in f"{found.name}{found.path}"


def tried(what):
    """What it gives, or None and what is said then."""
    try:
        return what(), ""
    except UserError as error:
        return None, str(error)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("inner.rate=.nan", r"inner\.rate is a finite number, got nan"),
        ("inner.rate=.inf", r"inner\.rate is a finite number, got inf"),
        ("inner.rate=1" + "0" * 30, r"inner\.rate is a finite number of at most 64 bits"),
        ("count=" + "0x" + "f" * 20_000, "count is a whole number of at most 64 bits"),
        ("count=1.5", r"count is a whole number, got 1\.5"),
        ("inner.sizes=3", r"inner\.sizes is a list such as \[640, 480\], got 3"),
        ("cuont=3", "unknown key cuont; did you mean count"),
        ("inner.rate", r"'inner\.rate' is no override"),
    ],
)
def test_what_is_wrong_is_named(override, says):
    with pytest.raises(UserError, match=says):
        load_config(Options, None, [override])


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 100_000,
        "a: &a [1,1]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(40)),
        "\xff\xfe",
        "- 1\n- 2\n",
        "count: !!python/object/apply:os.system [ls]",
        "count: 3\ncount: : :\n",
        "? [1, 2]\n: 3",
        "a: ${b}\nb: ${a}",
    ],
)
def test_a_file_that_is_no_configuration_is_one_line(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError) as found:
        load_config(Options, path)
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 500


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in the file system")
def test_a_pipe_or_a_folder_is_no_configuration(tmp_path):
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(UserError, match="not a regular file but a pipe"):
        load_config(Options, tmp_path / "c.yaml")
    with pytest.raises(UserError, match="not a regular file but a folder"):
        load_config(Options, tmp_path)


def keys_of(fields, prefix=""):
    for name, value in fields.items():
        yield from keys_of(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]


@pytest.mark.parametrize("model", ["pure_cnn", "gru", "causal_transformer", "vit_policy", "action_chunking"])
def test_every_key_of_a_cloning_run_takes_a_value_or_names_itself(model):
    for key in keys_of(to_fields(load(None, [f"model.name={model}"]))):
        for value in ("nan", "inf", "-1", "0", "1" + "0" * 30, "text", "[]", "null", "[1000000,1000000]", "true"):
            overrides = [f"model.name={model}", f"{key}={value}"]
            _, said = tried(lambda overrides=overrides: load(None, overrides))
            assert "\n" not in said


def test_the_documents_own_shares_leave_nothing_to_test_on(tmp_path):
    (tmp_path / "c.yaml").write_text("dataset: {train_ratio: 0.8, val_ratio: 0.2}\n")
    assert load(tmp_path / "c.yaml").dataset.ratios == (0.8, 0.2, 0.0)
    (tmp_path / "c.yaml").write_text("dataset: {train_ratio: 0.6, val_ratio: 0.2}\n")
    assert load(tmp_path / "c.yaml").dataset.ratios == (0.6, 0.2, 0.2)
    (tmp_path / "c.yaml").write_text("dataset: {train_ratio: 0.8, val_ratio: 0.3}\n")
    with pytest.raises(UserError, match="sum to 1"):
        load(tmp_path / "c.yaml")
