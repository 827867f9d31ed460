"""What comes after each command: one line at its end that can be copied."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from protege.core.paths import raw_playthrough, shown

Params = Mapping[str, Any]
Following = str | Callable[[Params], str]


def _with(command: str, option: str, value: object) -> str:
    """The command, with an option where this one was given its value."""
    if value is None:
        return command
    text = shown(value) if isinstance(value, Path) else str(value)
    return f"{command} {option} {shlex.quote(text)}".replace("  ", " ")


def _after_record(given: Params) -> str:
    return "protege record" if given["list_windows"] else _with("protege label", "--raw", given["out"])


def _after_sessions(given: Params) -> str:
    from protege.core.session import find_sessions

    root = given["root"] or raw_playthrough()
    return "protege label" if root.is_dir() and find_sessions(root) else "protege record"


def _after_label(given: Params) -> str:
    if given["score_"]:
        return _with("protege label", "--raw", given["raw"])
    return _with("protege review", "--in", given["out"])


def _after_review(given: Params) -> str:
    return _with("protege report", "", given["root"])


def _after_train(_: Params) -> str:
    return "protege score models/gameplay_agent_lora --only-held-back"


def _after_score(given: Params) -> str:
    return f'protege play --model {shlex.quote(str(given["model"]))} --goal "Go to the lantern"'


def _after_play(given: Params) -> str:
    return "protege studio" if given["no_record"] or given["features"] else "protege label --corrections"


def _after_doctor(given: Params) -> str:
    return "protege label" if given["session"] is not None else "protege record"


def _after_cloning(given: Params) -> str:
    return f"protege clone rollout {shlex.quote(str(given['model']))}"


FOLLOWING: Final[Mapping[str, Following | None]] = {
    "studio": "protege studio",
    "game new": None,  # says so itself, with the name that it gave
    "game list": "protege game new",
    "game check": lambda given: f"protege record --game {shlex.quote(str(given['name']))}",
    "record": _after_record,
    "import": "protege sessions",
    "sessions": _after_sessions,
    "sessions watch": "protege label",
    "sessions trim": "protege sessions",
    "sessions split": "protege sessions",
    "sessions merge": "protege sessions",
    "sessions delete": "protege sessions",
    "label": _after_label,
    "review": _after_review,
    "report": "protege train",
    "export": "protege train",
    "train": _after_train,
    "score": _after_score,
    "compare": "protege studio",
    "check": _after_score,
    "tiny-base": lambda given: f"protege train model.base={shlex.quote(str(given['folder']))} model.four_bit=false",
    "clone train": "protege studio",
    "clone evaluate": _after_cloning,
    "clone compare": "protege studio",
    "clone rollout": "protege studio",
    "clone setup-check": "protege clone train",
    "play": _after_play,
    "improve": None,  # says so itself, with the better model
    "replay": "protege sessions",
    "arena play": "protege arena record",
    "arena record": "protege label --backend given",
    "arena goals": "protege arena play",
    "controls train": "protege controls evaluate",
    "controls synth": "protege controls train",
    "controls inspect": "protege controls train",
    "controls evaluate": "protege studio",
    "demo": "protege record",
    "bench arena": "protege studio",
    "bench vizdoom": "protege studio",
    "doctor": _after_doctor,
}
"""By the words of a command; None where it says so itself."""


def following(path: str, given: Params) -> str | None:
    """The command that comes after `path` ("sessions trim") with these parameters, or None if nothing is said."""
    if given.get("json_"):
        return None
    found = FOLLOWING.get(path)
    return found(given) if callable(found) else found
