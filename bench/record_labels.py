"""Are the recorded labels what was pressed? A played window, compared with the engine's own record of its buttons."""

import json
import statistics
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protege.arena import stage
from protege.core.events import Held, Key, frame_actions
from protege.core.session import Session
from protege.errors import ProtegeError
from protege.evaluation.figures import Figure

TIC_NS: Final = 1_000_000_000 // 35
EDGE_NS: Final = 20_000_000


def labels(folder: Path, seconds: float) -> list[Figure]:
    """Record a played window, and compare with the engine's own record of its buttons and with the presses.

    The engine looks at its keys once a tic, so the time that a key takes to reach it is known to a tic (29 ms) and not
    better; of the delays within that tic around the median, the one constant is taken that fits best.
    """
    with stage.arena_player(folder, stage.SEED) as player:
        options = ["--stop-after", f"{seconds:g}"]
        with stage.process(*stage.recorder(folder, "session", *options)) as recorder:
            stage.finished(recorder, seconds + 60)
        stage.stop(player)
    session = Session.open(folder / "session")
    presses = [tuple(json.loads(line)) for line in (folder / "presses.jsonl").read_text().splitlines()]
    tics = [fields for line in (folder / "log.jsonl").read_text().splitlines() if "buttons" in (fields := _line(line))]
    median_ns = _lag_ns(presses, tics)
    ours = session.actions()

    def agreement(lag_ns: int) -> float:
        return float((engine_actions(session, tics, lag_ns) == ours).all(axis=1).mean())

    around = range(median_ns - TIC_NS // 2, median_ns + TIC_NS // 2, 10**6)
    lag_ns = max(around, key=lambda lag: (agreement(lag), -abs(lag - median_ns)))
    best, at_median = agreement(lag_ns), agreement(median_ns)
    heard = [(event.key, event.down) for event in session.events if isinstance(event, Key)]
    identical = _is_what_was_pressed(heard, presses, session)
    return [
        Figure(
            "label_agreement",
            round(best, 4),
            f"{best:.2%} of {len(ours)} frames, {len(heard)} key changes, key to engine {lag_ns / 1e6:.0f} ms",
            ">= 99 %",
            best >= 0.99,
        ),
        Figure(
            "label_agreement_at_median",
            round(at_median, 4),
            f"{at_median:.2%} at the median delay, {median_ns / 1e6:.0f} ms",
        ),
        Figure("sequence_identical", identical, str(identical), "True", identical),
    ]


def engine_actions(session: Session, tics: list[dict[str, Any]], lag_ns: int) -> NDArray[np.bool_]:
    """(T, K) the action of every frame by the engine's record: its buttons, moved back by the time a key takes to
    reach it, through the same rule (held for the larger part of the frame) as the recorder's events.
    """
    events: list[Held | Key] = [Held(int(session.t_ns[0]) - 10**9, frozenset())]
    down: dict[str, bool] = {}
    for tic in tics:
        for key, is_down in tic["buttons"].items():
            if down.get(key, False) != is_down:
                down[key] = is_down
                events.append(Key(tic["t_ns"] - lag_ns, key, is_down))
    return frame_actions(session.t_ns, events, session.info.space, session.info.period_ns)


def _lag_ns(presses: list[tuple[Any, ...]], tics: list[dict[str, Any]]) -> int:
    """The median time from a key's change to the first tic that sees it."""
    times = np.array([tic["t_ns"] for tic in tics])
    lags = []
    for t_ns, key, is_down in presses:
        for i in range(int(np.searchsorted(times, t_ns)), min(int(np.searchsorted(times, t_ns + 10**8)), len(tics))):
            if tics[i]["buttons"][key] == is_down:
                lags.append(tics[i]["t_ns"] - t_ns)
                break
    if not lags:
        raise ProtegeError("no key reached the arena's window: nothing was compared")
    return int(statistics.median(lags))


def _is_what_was_pressed(heard: list[tuple[str, bool]], presses: list[tuple[Any, ...]], session: Session) -> bool:
    """Whether the recorded changes are, in order and without a gap, all that was pressed while recording.

    A press is noted just before it is sent, so those within 20 ms of the recording's ends may be in or out.
    """
    first, last = session.events[0].t_ns, session.events[-1].t_ns
    inside = sum(first + EDGE_NS <= t_ns < last - EDGE_NS for t_ns, _, _ in presses)
    pressed = [(key, down) for _, key, down in presses]
    runs = (pressed[i : i + len(heard)] for i in range(len(pressed) - len(heard) + 1))
    return len(heard) >= inside and heard in runs


def _line(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError:
        return {}  # the last line of a log that was cut off
