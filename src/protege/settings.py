"""YAML and `a.b=value` overrides into frozen dataclasses; an unknown key is an error with its nearest match."""

import dataclasses
import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from protege.errors import MissingExtra, UserError

T = TypeVar("T")

_NAMES: Final = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def shipped(name: str) -> Path:
    """A configuration that comes with protege, whichever folder a command is started in: in an installed package it
    lies beside this file, in a checkout in configs/.
    """
    here = Path(__file__).parent
    return next(path for path in (here / "configs" / name, here.parents[1] / "configs" / name) if path.exists())


def load_config(kind: type[T], path: Path | None, overrides: Sequence[str] = (), extra: str = "vision") -> T:
    """A `kind` from a YAML file (its defaults without one) and overrides such as "training.learning_rate=1e-4"."""
    return build(kind, read_fields(path, overrides, extra))


def read_fields(path: Path | None, overrides: Sequence[str] = (), extra: str = "vision") -> dict[str, Any]:
    """The nested values of a YAML file with overrides on top, not yet checked against a dataclass.

    extra: the extra of the package that the caller belongs to, named when OmegaConf is missing.
    """
    try:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
    except ImportError:
        raise MissingExtra("omegaconf", extra) from None
    try:
        fields = OmegaConf.load(path) if path else OmegaConf.create()
        if not OmegaConf.is_dict(fields):
            raise UserError(f"{path}: not a configuration (a list, where keys were expected)")
        if bad := [text for text in overrides if "=" not in text]:
            raise UserError(f"{bad[0]!r} is no override; write it as key=value, e.g. training.learning_rate=1e-4")
        merged = OmegaConf.to_container(OmegaConf.merge(fields, OmegaConf.from_dotlist(list(overrides))), resolve=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such configuration; the ones that come with protege are in configs/") from None
    except (OmegaConfBaseException, ValueError, OSError) as error:
        raise UserError(f"{path or 'overrides'}: not a configuration ({str(error).splitlines()[0]})") from None
    except Exception as error:  # the YAML parser's own tree of errors, which OmegaConf lets through
        if type(error).__module__.split(".")[0] != "yaml":
            raise
        raise UserError(f"{path or 'overrides'}: not YAML ({' '.join(str(error).split())[:200]})") from None
    return {str(key): value for key, value in merged.items()} if isinstance(merged, dict) else {}


def build(kind: type[T], fields: Any, prefix: str = "") -> T:
    """A dataclass from nested mappings; UserError names a key or a value that does not fit."""
    if not isinstance(fields, Mapping):
        raise UserError(f"{prefix.rstrip('.') or 'a configuration'} is a group of keys, got {fields!r}")
    hints = get_type_hints(kind)
    for key in fields:
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, 1, 0.5) or difflib.get_close_matches(
                str(key), hints, 1, 0
            )
            raise UserError(f"unknown key {prefix}{key}; did you mean {prefix}{near[0]}?")
    values = {key: _cast(hints[key], value, f"{prefix}{key}") for key, value in fields.items()}
    return kind(**values)


def _cast(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value if value is not None else {}, f"{name}.")
    if hint is str and isinstance(value, bool):
        value = str(value).lower()  # YAML reads some words, such as true, as what they are not meant for
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (inner,) = [kind for kind in get_args(hint) if kind is not type(None)]
        return _cast(inner, value, name)
    if origin is tuple:
        inner, *rest = get_args(hint)
        values = list(value) if isinstance(value, list | tuple) else None
        if values is None or (rest and rest[0] is not Ellipsis and len(values) != 1 + len(rest)):
            raise UserError(f"{name} is a list such as [640, 480], got {value!r}")
        return tuple(_cast(inner, item, name) for item in values)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if type(value) is hint:
        return value
    raise UserError(f"{name} is a {_NAMES.get(hint, hint)}, got {value!r}")


def to_fields(config: Any) -> dict[str, Any]:
    """The inverse of `build`: nested plain values, as YAML and JSON have them."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in _walk(config).items()}


def _walk(config: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        found[field.name] = to_fields(value) if dataclasses.is_dataclass(value) else value
    return found


def to_yaml(config: Any) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(to_fields(config)))
