"""A recording on disk: its writer, reader, checker and repairer. docs/session-format.md describes the format.

session.json (what and how), frames/000000.jpg …, frames.jsonl (a line per frame), events.jsonl (a line per event).
"""

from protege.play.session.info import (
    COMPLETE,
    FORMAT_VERSION,
    RECORDING,
    RECOVERED,
    SessionError,
    SessionInfo,
    library_versions,
)
from protege.play.session.lock import require_finished
from protege.play.session.reader import Problem, Session, Span, find_sessions
from protege.play.session.repair import check, repair
from protege.play.session.writer import SessionWriter, frame_path, rewrite_events

__all__ = [
    "COMPLETE",
    "FORMAT_VERSION",
    "RECORDING",
    "RECOVERED",
    "Problem",
    "Session",
    "SessionError",
    "SessionInfo",
    "SessionWriter",
    "Span",
    "check",
    "find_sessions",
    "frame_path",
    "library_versions",
    "repair",
    "require_finished",
    "rewrite_events",
]
