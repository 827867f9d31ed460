"""Which frames of play are labeled already, or will be by another recording of the same run."""

from collections.abc import Sequence
from pathlib import Path

from protege.core.labeled import LabeledSegment, find_segments
from protege.core.lineage import is_edited
from protege.core.once import Claims, origins_of
from protege.core.session import SessionInfo
from protege.errors import UserError


def comes_second(folder: Path) -> bool:
    """Whether a recording was made from others: those come first and keep their frames."""
    try:
        return is_edited(SessionInfo.load(folder))
    except (UserError, OSError):
        return False  # it is reported when it is its turn


def claimed(out: Path, redone: Sequence[Path]) -> Claims:
    """The frames of the labeled segments in `out`, but for those of the recordings that are to be labeled anew."""
    claims, own = Claims(), {folder.resolve().name for folder in redone}
    for path in find_segments(out):
        try:
            labeled = LabeledSegment.load(path)
            if labeled.session not in own:
                claims.take(origins_of(labeled), labeled.session)
        except UserError:
            continue  # whoever reads it says what is wrong with it
    return claims
