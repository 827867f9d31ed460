"""python -m bench record: are the labels what was pressed, what does recording cost, and what does a kill lose?"""

import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.record_cost import cost
from bench.record_labels import labels
from protege.arena import stage
from protege.core.session import Session, SessionError
from protege.evaluation.figures import Figure

KILLED_WITHIN_S: Final = 1.5


def run(seconds: float = 60.0, kills: int = 20, say: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """All four figures. seconds: how long each measurement is; kills: how often a recorder is killed."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        folder = Path(name)
        with stage.own_display():
            say(f"labels: {seconds:g} s at 10 fps")
            figures += labels(folder / "labels", seconds)
            say("cost: 10 and 30 fps, then 1280x720 beside ffmpeg")
            figures += cost(folder / "cost", seconds)
            say(f"kills: {kills} recorders")
            figures += killed(folder / "kills", kills)
        say("arena: headless")
        figures += arena(folder / "arena", seconds)
    return figures


def killed(folder: Path, kills: int) -> list[Figure]:
    """Kill the recorder at a random moment; count the sessions that open with every frame they name readable."""
    rng = random.Random(0)
    good = frames = 0
    with stage.arena_player(folder / "player", stage.SEED):
        for number in range(kills):
            name = f"kill{number}"
            lines = folder / name / "frames.jsonl"
            with stage.process(*stage.recorder(folder, name, "--fps", "30")) as recorder:
                stage.wait_for(lambda lines=lines: lines.exists() and lines.stat().st_size > 0, recorder)
                time.sleep(rng.uniform(0, KILLED_WITHIN_S))
                recorder.send_signal(signal.SIGKILL)
                recorder.wait()
            readable = _readable(folder / name)
            good += readable > 0
            frames += readable
    text = f"{good} of {kills} sessions, {frames} frames"
    return [
        Figure("kills", kills, str(kills)),
        Figure("kills_readable", good, text, "all", good == kills),
    ]


def _readable(folder: Path) -> int:
    """How many frames a session has; 0 if it does not open, or one that it names cannot be read."""
    try:
        session = Session.open(folder)
        for i in range(len(session)):
            session.frame(i)
    except SessionError:
        return 0
    unnamed = len(list((folder / "frames").iterdir())) - len(session)
    return len(session) if unnamed <= 1 else 0  # at most the frame being written has no line


def arena(folder: Path, seconds: float) -> list[Figure]:
    """Frames a second of the built-in game headless at 320x240 with the expert playing, and sessions a minute."""
    from protege.arena.env import ArenaEnv, to_array
    from protege.arena.expert import Expert
    from protege.arena.record import record_episodes

    env = ArenaEnv(size=(320, 240))
    expert = Expert()
    frames, seed = 0, stage.SEED
    start = time.monotonic()
    while time.monotonic() - start < min(seconds, 20.0):
        _, info = env.reset(seed=seed)
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(to_array(expert.act(info["state"])))
            frames += 1
            over = terminated or truncated
        seed += 1
    fps = frames / (time.monotonic() - start)
    env.close()
    start, sessions = time.monotonic(), 0
    while time.monotonic() - start < min(seconds, 20.0):
        sessions += len(record_episodes(folder, 5, stage.SEED + sessions))
    per_minute = 60 * sessions / (time.monotonic() - start)
    return [
        Figure("arena_fps", round(fps, 1), f"{fps:.0f} frames/s at 320x240, one process"),
        Figure("arena_sessions_per_min", round(per_minute, 1), f"{per_minute:.0f} sessions/min at 640x480"),
    ]
