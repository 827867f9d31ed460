"""YAML and `a.b=value` overrides into frozen dataclasses; an unknown key is an error with its nearest match."""

import dataclasses
import difflib
import io
import math
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from protege.core import files
from protege.core.text import one_line
from protege.errors import MissingExtra, UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

_NAMES: Final = {int: "whole number", float: "finite number", str: "text", bool: "true or false"}
_LARGEST: Final = 2**63 - 1
_MAX_BYTES: Final = 1 << 20
_MAX_DEPTH: Final = 50
_MAX_ALIASES: Final = 20
"""Ten aliases that each name ten others turn a file of 200 bytes into gigabytes."""


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
        fields = OmegaConf.load(io.StringIO(_read(path))) if path else OmegaConf.create()
        if not OmegaConf.is_dict(fields):
            raise UserError(f"{path}: not a configuration (a list, where keys were expected)")
        if bad := [text for text in overrides if "=" not in text]:
            raise UserError(f"{bad[0]!r} is no override; write it as key=value, e.g. training.learning_rate=1e-4")
        for text in overrides:
            _require_small(text.partition("=")[2])
        merged = OmegaConf.to_container(OmegaConf.merge(fields, OmegaConf.from_dotlist(list(overrides))), resolve=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such configuration; the ones that come with protege are in configs/") from None
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path or 'overrides'}: not a configuration ({error.strerror or error})") from None
    except RecursionError:
        raise UserError(f"{path or 'overrides'}: not a configuration (nested too deep)") from None
    except (OmegaConfBaseException, ValueError) as error:
        reason = one_line(str(error).splitlines()[0], 200)
        raise UserError(f"{path or 'overrides'}: not a configuration ({reason})") from None
    except Exception as error:  # OmegaConf lets the errors of YAML's parser and of its own grammar through
        raise UserError(f"{path or 'overrides'}: not YAML ({one_line(str(error), 200)})") from None
    return {str(key): value for key, value in merged.items()} if isinstance(merged, dict) else {}


def _read(path: Path) -> str:
    return _require_small(files.read_bytes(path, _MAX_BYTES).decode())


def _require_small(text: str) -> str:
    """The YAML text, or ValueError where building its values could take any memory, or overflow the stack of libyaml,
    which ends the process.
    """
    import yaml

    depth = aliases = 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH}")
        if aliases > _MAX_ALIASES:
            raise ValueError(f"more than {_MAX_ALIASES} aliases")
    return text


def build(kind: type[T], fields: object, prefix: str = "") -> T:
    """A dataclass from nested mappings; UserError names a key or a value that does not fit."""
    if not isinstance(fields, Mapping):
        raise UserError(f"{prefix.rstrip('.') or 'a configuration'} is a group of keys, got {_shown(fields)}")
    hints = get_type_hints(kind)
    for key in fields:
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, 1, 0.5) or difflib.get_close_matches(
                str(key), hints, 1, 0
            )
            raise UserError(f"unknown key {prefix}{one_line(str(key), 80)}; did you mean {prefix}{near[0]}?")
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
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise UserError(f"{name} is a group such as {{ctrl: fire}}, got {_shown(value)}")
        _, inner = get_args(hint)
        return {str(key): _cast(inner, item, f"{name}.{key}") for key, item in value.items()}
    if origin is tuple:
        inner, *rest = get_args(hint)
        values = list(value) if isinstance(value, list | tuple) else None
        if values is None or (rest and rest[0] is not Ellipsis and len(values) != 1 + len(rest)):
            raise UserError(f"{name} is a list such as [640, 480], got {_shown(value)}")
        return tuple(_cast(inner, item, name) for item in values)
    if type(value) is int and abs(value) > _LARGEST:
        raise UserError(f"{name} is a {_NAMES.get(hint, hint)} of at most 64 bits, got a larger one")
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if hint is str and type(value) in (int, float):
        return str(value)
    if type(value) is hint and hint is not float and not (isinstance(value, str) and _no_text(value)):
        return value
    raise UserError(f"{name} is a {_NAMES.get(hint, hint)}, got {_shown(value)}")


def _no_text(value: str) -> bool:
    """Whether it can be neither a path nor be written: with a NUL or a lone surrogate."""
    return "\0" in value or any(0xD800 <= ord(c) < 0xE000 for c in value)


def _shown(value: object) -> str:
    try:
        return one_line(repr(value), 80)
    except (ValueError, RecursionError):  # a number of more digits than Python prints
        return "a value too large to be shown"


def to_fields(config: "DataclassInstance") -> dict[str, Any]:
    """The inverse of `build`: nested plain values, as YAML and JSON have them."""
    values = ((field.name, vars(config)[field.name]) for field in dataclasses.fields(config))
    return {name: _plain(value) for name, value in values}


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_fields(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def to_yaml(config: "DataclassInstance") -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(to_fields(config)))
