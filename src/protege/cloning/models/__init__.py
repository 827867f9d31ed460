"""The policies, one a file: a dataclass `Options` and `create_model`; a new file here is a new `model.name`."""

import difflib
import importlib
import pkgutil
from types import ModuleType
from typing import Any

from protege.cloning.config import ModelConfig
from protege.core.text import one_line
from protege.errors import UserError


def names() -> list[str]:
    """Every model there is, by file name."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def options_of(name: str) -> type[ModelConfig]:
    """The fields of a model's section `model`."""
    return _module(name).Options


def create_model(config: ModelConfig, shape: Any, **options: Any) -> Any:
    """The model that `config.name` names; see `create_model` of any file here."""
    return _module(config.name).create_model(config, shape, **options)


def _module(name: str) -> ModuleType:
    if name not in names():
        near = difflib.get_close_matches(name, names(), 1, 0)
        found = one_line(repr(name), 60)
        raise UserError(f"model.name is {found}, which is none of {', '.join(names())}; did you mean {near[0]}?")
    return importlib.import_module(f"{__name__}.{name}")
