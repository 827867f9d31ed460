"""A recording on disk: its writer, reader, checker and repairer. docs/session-format.md describes the format.

session.json (what and how), frames/000000.jpg …, frames.jsonl (a line per frame), events.jsonl (a line per event).
"""

from protege.core.session.info import (
    COMPLETE,
    FORMAT_VERSION,
    RECORDING,
    RECOVERED,
    SessionError,
    SessionInfo,
    library_versions,
)
from protege.core.session.lock import require_finished
from protege.core.session.reader import Problem, Session, Span, find_sessions
from protege.core.session.repair import check, repair
from protege.core.session.writer import SessionWriter, frame_path, rewrite_events, staged_session

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
    "staged_session",
]
