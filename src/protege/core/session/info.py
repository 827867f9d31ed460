"""session.json: how a recording was made and how it ended."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Self

from protege.core.actions import KEYBOARD_12, ActionSpace
from protege.core.fields import is_int, is_number, require
from protege.core.files import read_json, write_text
from protege.core.frame import MAX_SIDE
from protege.core.text import one_line
from protege.errors import UserError

FORMAT_VERSION: Final = 2
"""The newest that is read. Without motion of the mouse a session is written as version 1, as ever."""
RECORDING, COMPLETE, RECOVERED = "recording", "complete", "recovered"
_MOST: Final = 2**62


class SessionError(UserError):
    """A session that cannot be read as it is; the message names file, line, what was found and what to do."""


@dataclass(frozen=True)
class SessionInfo:
    """session.json: how the recording was made and how it ended.

    frame_size: (width, height); window: title and rectangle, or None; clock: the wall and the monotonic time of one
    moment, in nanoseconds; dropped: frames that were due and not written; verdict: what is wrong with it (empty: good),
    or None when nobody has judged it; extra: what only its maker knows (task, seed, importer's counts …).
    """

    space: ActionSpace = KEYBOARD_12
    frame_hz: float = 10.0
    frame_size: tuple[int, int] = (640, 480)
    source: str = "recorder"
    window: Mapping[str, Any] | None = None
    clock: Mapping[str, int] = field(default_factory=lambda: {"wall_ns": 0, "monotonic_ns": 0})
    libraries: Mapping[str, str] = field(default_factory=dict)
    status: str = RECORDING
    frames: int = 0
    dropped: int = 0
    verdict: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def period_ns(self) -> int:
        """Nanoseconds from one frame to the next, as intended."""
        return round(1e9 / self.frame_hz)

    def to_json(self) -> dict[str, object]:
        return {
            "format_version": 1 if self.space.look is None else 2,
            **{k: v for k, v in vars(self).items() if k != "space"},
            "action_space": self.space.to_json(),
        }

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError on anything else."""
        named = {k: fields[k] for k in cls.__dataclass_fields__ if k != "space"}
        _check_types(named)
        named["space"] = ActionSpace.from_json(fields["action_space"])
        width, height = named["frame_size"]
        named["frame_size"] = (width, height)
        named["verdict"] = None if named["verdict"] is None else tuple(named["verdict"])
        return cls(**named)

    def save(self, folder: Path) -> None:
        """Write session.json whole or not at all."""
        write_text(folder / "session.json", json.dumps(self.to_json(), indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """SessionError if there is none, it cannot be read, or a newer version wrote it."""
        path = folder / "session.json"
        try:
            fields = read_json(path)
            version = fields["format_version"]
            if not is_int(version):
                raise TypeError(f"format_version is {version!r}")
            if version < 1:
                raise ValueError(f"format_version is {version}")
            if version > FORMAT_VERSION:
                raise SessionError(
                    f"{path}: format version {version}, this protege reads up to {FORMAT_VERSION}; update protege"
                )
            return cls.from_json(fields)
        except FileNotFoundError:
            raise SessionError(
                f"{folder}: no recording here (no session.json); make one with: protege record"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise SessionError(
                f"{path}: not a session's description ({one_line(repr(error), 200)}); restore it from a copy"
            ) from None


def _is_time(value: object) -> bool:
    return is_int(value) and abs(value) < 2 * _MOST


def _check_types(named: Mapping[str, Any]) -> None:
    """ValueError names the first field that is not what it should be."""
    size, verdict, clock = named["frame_size"], named["verdict"], named["clock"]
    good = {
        "frame_hz": is_number(named["frame_hz"]) and 0.01 <= named["frame_hz"] <= 1000,
        "frame_size": isinstance(size, list) and len(size) == 2 and all(is_int(s) and 0 < s <= MAX_SIDE for s in size),
        "source": isinstance(named["source"], str),
        "window": named["window"] is None or isinstance(named["window"], dict),
        "clock": isinstance(clock, dict) and all(_is_time(clock[name]) for name in ("wall_ns", "monotonic_ns")),
        "libraries": isinstance(named["libraries"], dict),
        "status": named["status"] in (RECORDING, COMPLETE, RECOVERED),
        "frames": is_int(named["frames"]) and 0 <= named["frames"] < _MOST,
        "dropped": is_int(named["dropped"]) and 0 <= named["dropped"] < _MOST,
        "verdict": verdict is None or (isinstance(verdict, list) and all(isinstance(v, str) for v in verdict)),
        "extra": isinstance(named["extra"], dict),
    }
    require(named, good)


def library_versions(*names: str) -> dict[str, str]:
    """Versions of Python, the system and the named packages, for whoever has to explain a recording later."""
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for name in ("protege", *names):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
