"""Every frame of play is labeled once: which recordings come first, and which frames are labeled already."""

from collections.abc import Sequence
from pathlib import Path

from protege.core.labeled import LabeledSegment, find_segments
from protege.core.lineage import is_edited
from protege.core.once import Claims, origins_of
from protege.core.session import SessionInfo
from protege.errors import UserError


def comes_second(folder: Path) -> bool:
    """Sort key: recordings that were made from others come after those, which keep their frames."""
    try:
        return is_edited(SessionInfo.load(folder))
    except (UserError, OSError):
        return False  # reported when it is its turn


def claimed(out: Path, redone: Sequence[Path]) -> Claims:
    """The frames of the labeled segments in `out`, without those of the recordings that are labeled anew."""
    claims, own = Claims(), {folder.resolve().name for folder in redone}
    for path in find_segments(out):
        try:
            labeled = LabeledSegment.load(path)
            if labeled.session not in own:
                claims.take(origins_of(labeled), labeled.session)
        except UserError:
            continue  # whoever reads it says what is wrong with it
    return claims
