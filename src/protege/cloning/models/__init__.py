"""The policies, one per file: a dataclass `Options` and a function `create_model`; a new file is a new `model.name`."""

import difflib
import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING

from protege.cloning.models.base import ModelConfig
from protege.core.text import one_line
from protege.errors import UserError

if TYPE_CHECKING:
    from flax import nnx
    from jax.typing import DTypeLike

    from protege.cloning.layers import Model, Shape


def names() -> list[str]:
    """Every policy there is, by file name."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def options_of(name: str) -> type[ModelConfig]:
    """The dataclass of a policy's section `model`."""
    return _module(name).Options


def create_model(config: ModelConfig, shape: "Shape", *, rngs: "nnx.Rngs", dtype: "DTypeLike") -> "Model":
    """The policy that `config.name` names, with new weights; UserError where it does not fit the data."""
    return _module(config.name).create_model(config, shape, rngs=rngs, dtype=dtype)


def _module(name: str) -> ModuleType:
    if name not in names():
        near = difflib.get_close_matches(name, names(), 1, 0)
        found = one_line(repr(name), 60)
        raise UserError(f"model.name is {found}, which is none of {', '.join(names())}; did you mean {near[0]}?")
    return importlib.import_module(f"{__name__}.{name}")
