"""`protege improve --person me`: one's own hands in a window, on a real X server."""

import threading
import time

import pytest

pytest.importorskip("trl")
pytest.importorskip("vizdoom")

from protege.core import KEYBOARD_12
from protege.core.labeled import LabeledSegment, find_segments
from protege.core.session import find_sessions
from protege.devices.keyboard import RealKeys
from protege.improve import run
from tests.agent.target import TITLE, Target
from tests.devices.hands import until
from tests.improve.test_improve import asked

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
GOAL = "Go to the lantern"


@pytest.fixture
def target(xvfb):
    found = Target()
    RealKeys(KEYBOARD_12)  # lets go of whatever the test before left down
    yield found
    found.close()


def test_what_ones_own_hands_did_is_trained_on(begun, target, tmp_path):
    options = asked(begun, tmp_path, person="me", goals=(GOAL,), window=TITLE, rounds=1, minutes=0.25)
    ended = threading.Event()

    def hands():
        """Take over as soon as the agent plays, and walk until it ends."""
        runs = tmp_path / "loop" / "round_1" / "runs"
        until(lambda: any(runs.glob("*/frames.jsonl")) or ended.is_set(), 60)
        time.sleep(1.0)
        while not ended.is_set() and not (tmp_path / "loop" / "round_1" / "round.json").exists():
            target.type("d", True)
            time.sleep(0.6)
            target.type("d", False)
            target.type("w", True)
            time.sleep(0.6)
            target.type("w", False)

    person = threading.Thread(target=hands)
    person.start()
    try:
        improved = run(options, print)
    finally:
        ended.set()
        person.join()
    (played,) = improved.rounds
    assert played.play is not None
    assert played.play.takeovers >= 1
    assert 40 < played.play.corrected < played.play.frames
    (session,) = find_sessions(tmp_path / "loop" / "round_1" / "runs")
    segments = [LabeledSegment.load(path) for path in find_segments(tmp_path / "data")]
    own = [segment for segment in segments if segment.session == session.name]
    assert own
    assert {segment.goal for segment in own} == {GOAL}
    written = (tmp_path / "data").glob(f"{session.name}*/samples.jsonl")
    answers = "".join(path.read_text() for path in written)
    assert '\\"d\\"' in answers
    assert '\\"w\\"' in answers
    assert played.train is not None
    assert played.train.steps > 0
