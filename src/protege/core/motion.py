"""How far the mouse turned the view during each frame of a session."""

import numpy as np
from numpy.typing import NDArray

from protege.core.events import frame_motion
from protege.core.session import Session


def motion_per_frame(session: Session, tau_ms: float = 0.0) -> NDArray[np.int64] | None:
    """(T, 2) counts right and down; None where the session's space has no mouse.

    tau_ms: the player's reaction time, by which motion is moved to earlier frames, as keys are.
    """
    if session.info.space.look is None:
        return None
    return frame_motion(session.t_ns, session.events, session.info.period_ns, round(tau_ms * 1e6))
