"""A profile as the commented file that a person goes on editing."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from protege.core.files import write_text
from protege.errors import UserError
from protege.games.profile import Profile, checked, games_folder

COLUMN: Final = 36
"""Where the comments stand."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def slug(title: str) -> str:
    """A profile's name made of a window's title: "Chocolate Doom 3.0" → "chocolate-doom-3-0"."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-") or "game"


def path_of(name: str) -> Path:
    """Where a profile of this name belongs; UserError for what is no name."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name[:80]!r} cannot be a game's name; expected small letters, digits, - and _, at most 60, "
            "beginning with a letter or a digit"
        )
    return games_folder() / f"{name}.yaml"


def write_profile(path: Path, profile: Profile) -> Profile:
    """Write the file, whole or not at all; returns the profile as it will be read. UserError if it is not sound."""
    profile = checked(profile)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text_of(profile))
    return profile


def text_of(profile: Profile) -> str:
    """The YAML of a profile, with a comment for each setting."""
    window = json.dumps(profile.window, ensure_ascii=False) if profile.window else ""
    width, height = profile.size
    lines = [
        _line(f"window: {window}", "whole title, a part of it, or /pattern/"),
        _line(f"keys: [{_names(profile.keys)}]", "by place, named as on a US keyboard"),
    ]
    if (mouse := profile.mouse) is not None:
        counts = "" if mouse.counts_per_turn is None else f", counts_per_turn: {mouse.counts_per_turn:g}"
        wheel = ", wheel: true" if mouse.wheel else ""
        said = f"look: {str(mouse.look).lower()}, buttons: [{', '.join(mouse.buttons)}]{wheel}{counts}"
        lines.append(_line(f"mouse: {{{said}}}", "counts_per_turn: of the mouse, for a whole turn of the view"))
    lines.append(_line("actions:" if profile.actions else "actions: {}", "what keys do, such as  ctrl: fire"))
    lines += [f"  {_names((key,))}: {json.dumps(text, ensure_ascii=False)}" for key, text in profile.actions.items()]
    lines += [
        _line(f"never: [{_names(profile.never)}]", "never stored, never pressed"),
        _line(f"fps: {profile.fps:g}", "pictures a second"),
        _line(f"size: [{width}, {height}]", "of the stored pictures"),
        _line("goals:" if profile.goals else "goals: []", "played one after the other without --goal"),
    ]
    lines += [f"  - {json.dumps(goal, ensure_ascii=False)}" for goal in profile.goals]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _line(setting: str, comment: str) -> str:
    return f"{setting:<{COLUMN - 1}} # {comment}"


def _names(keys: Iterable[str]) -> str:
    """Names of keys in YAML; digits, signs and what YAML might take for yes and no are quoted."""
    plain = re.compile(r"[a-z_][a-z_0-9]*")
    return ", ".join(key if plain.fullmatch(key) and key not in "yn" else json.dumps(key) for key in keys)
