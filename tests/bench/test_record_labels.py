"""The comparison with the engine's record finds a wrong label, and a press that was lost."""

import numpy as np

from bench.record_labels import _is_what_was_pressed, _lag_ns, engine_actions
from protege.core import SessionInfo
from protege.core.events import Held, Key, Pause
from protege.core.session import Session

MS = 1_000_000
TIC = 28 * MS


def tics(presses, lag):
    """What an engine that sees keys `lag` later notes, tic by tic, in three seconds."""
    made = []
    for t in range(0, 3000 * MS, TIC):
        down = {"w": False, "left": False}
        for at, key, is_down in presses:
            if at + lag <= t:
                down[key] = is_down
        made.append({"t_ns": t, "buttons": dict(down)})
    return made


def session(tmp_path, events):
    times = np.arange(0, 3000 * MS, 100 * MS)
    return Session(tmp_path, SessionInfo(), np.arange(len(times)), times, tuple(events))


PRESSES = [(110 * MS, "w", True), (720 * MS, "left", True), (1310 * MS, "left", False), (2230 * MS, "w", False)]
EVENTS = [Held(0, frozenset()), *(Key(t + MS, key, down) for t, key, down in PRESSES), Pause(3000 * MS, "stop")]


def test_good_labels_equal_the_engines_record(tmp_path):
    made = session(tmp_path, EVENTS)
    seen = tics(PRESSES, 20 * MS)
    lag = _lag_ns(PRESSES, seen)
    assert 20 * MS <= lag <= 48 * MS
    assert np.array_equal(engine_actions(made, seen, lag), made.actions())
    assert _is_what_was_pressed([(e.key, e.down) for e in EVENTS if isinstance(e, Key)], PRESSES, made)


def test_a_lost_release_is_found(tmp_path):
    lost = [e for e in EVENTS if not (isinstance(e, Key) and e.key == "left" and not e.down)]
    made = session(tmp_path, lost)
    seen = tics(PRESSES, 20 * MS)
    agreement = (engine_actions(made, seen, _lag_ns(PRESSES, seen)) == made.actions()).all(axis=1).mean()
    assert agreement < 0.6
    assert not _is_what_was_pressed([(e.key, e.down) for e in lost if isinstance(e, Key)], PRESSES, made)
