"""Episodes of the arena that an agent plays and the expert corrects, headless, recorded as `protege play` records."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protege.agent.listener import Slot
from protege.agent.record import SOURCE, RunRecorder
from protege.arena.expert import Expert
from protege.arena.person import Person
from protege.arena.record import TAIL_DECISIONS, motions
from protege.arena.rooms import Layout
from protege.arena.state import DECISION_HZ, MAX_DECISIONS, Judge, tics_of
from protege.core.actions import NO_KEYS, Action
from protege.core.events import AGENT, HUMAN
from protege.core.fields import is_int
from protege.core.frame import encode_jpeg
from protege.core.session import SessionInfo, SessionWriter, library_versions, staged_session
from protege.errors import UserError
from protege.evaluation.episodes import PERIOD_NS, Job, Playing, Runner

MOST_DECISIONS: Final = 2 * MAX_DECISIONS
DOING: Final = "protege improve"


@dataclass(frozen=True)
class Corrected:
    """A recorded episode: its frames, how many of them a person played, and how often he took over."""

    frames: int
    corrected: int
    takeovers: int


def correct(runner: Callable[[], Runner], job: Job, folder: Path) -> Corrected:
    """Play one room with the expert beside the agent, and record it in `folder`, whole or not at all.

    One that is there already is kept; runner: made where it is needed. UserError if something else lies there.
    """
    if folder.exists():
        return _recorded(folder, job)
    made = job.layout
    with staged_session(folder, DOING) as part:
        return _record(runner(), made, part)


def _recorded(folder: Path, job: Job) -> Corrected:
    info = SessionInfo.load(folder)
    counts = [info.extra.get(name) for name in ("corrected", "takeovers")]
    if info.extra.get("seed") != job.seed or not all(map(is_int, counts)):
        raise UserError(f"{folder}: not the room {job.seed} that was to be corrected; rename it, or give another --out")
    return Corrected(info.frames, *(int(str(count)) for count in counts))


def _record(runner: Runner, made: Layout, folder: Path) -> Corrected:
    info = SessionInfo(
        space=runner.engine.space,
        frame_hz=DECISION_HZ,
        frame_size=runner.engine.size,
        source=SOURCE,
        libraries=library_versions("vizdoom", "numpy", "pillow"),
        extra={
            "model": runner.player.model,
            "goal": made.goal.sentence,
            "goal_name": made.goal.name,
            "task": str(made.goal.task),
            "seed": made.seed,
        },
    )
    with SessionWriter(folder, info) as writer:
        episode = _Episode(runner, made, RunRecorder(writer, 0))
        try:
            episode.play()
        finally:
            found = episode.found
            about = episode.judge.report() | {"corrected": found.corrected, "takeovers": found.takeovers}
            episode.recorder.finish(episode.now_ns, about)
    return found


class _Episode:
    """One episode, written as it happens. A picture's time is that of the decision which answers it."""

    def __init__(self, runner: Runner, made: Layout, recorder: RunRecorder) -> None:
        self.runner = runner
        self.made = made
        self.recorder = recorder
        self.judge = Judge(made, MOST_DECISIONS)
        self.corrected = self.takeovers = 0
        self._person = Person(Expert(space=runner.engine.space))
        self._agent = Playing(runner.policy(made.seed), runner.player)
        self._held: Action = NO_KEYS

    @property
    def now_ns(self) -> int:
        return self.judge.decisions * PERIOD_NS

    @property
    def found(self) -> Corrected:
        return Corrected(self.judge.decisions, self.corrected, self.takeovers)

    def play(self) -> None:
        """Until the goal is reached; a person who reached it stands there for a moment, which shows what done is."""
        engine, judge, goal = self.runner.engine, self.judge, self.made.goal.sentence
        self.recorder.control(0, AGENT)
        self.recorder.goal(0, goal)
        state = engine.load(self.made)
        self._person.start_episode()
        by, tail = AGENT, TAIL_DECISIONS
        while judge.decisions < MOST_DECISIONS and (not judge.success or (by == HUMAN and tail > 0)):
            if not judge.success and (self._person.watch(state) != (by == HUMAN)):
                by = self._hand_over(AGENT if by == HUMAN else HUMAN)
            tail -= int(judge.success)
            picture = engine.picture()
            if by == HUMAN:
                action = self._person.act(state)
                self._human_holds(action)
            else:
                action = self._agent.act(judge.decisions, lambda shown=picture: shown, goal)
                self.recorder.slot(
                    Slot(judge.decisions, self.now_ns, self.now_ns, action, None, 0, AGENT, goal, "")
                )  # fmt: skip
            self.recorder.writer.frame(self.now_ns, encode_jpeg(picture))
            self.corrected += by == HUMAN
            state = engine.step(action, tics_of(judge.decisions))
            judge.observe(state, action)
            if by == HUMAN:
                for motion in motions(self.now_ns, engine.moved):
                    self.recorder.motion(motion)
        self._human_holds(NO_KEYS)
        self.recorder.goal_ended(self.now_ns, goal, "success" if judge.success else "timeout")

    def _hand_over(self, by: str) -> str:
        self._human_holds(NO_KEYS)
        self._agent.forget()
        self.recorder.control(self.now_ns, by)
        self.takeovers += by == HUMAN
        return by

    def _human_holds(self, action: Action) -> None:
        """Notes the keys; where the mouse turned is told by its motion."""
        action = self.runner.engine.space.only(action)
        for key in sorted(self._held ^ action):
            self.recorder.human_key(self.now_ns, key, key in action)
        self._held = action
