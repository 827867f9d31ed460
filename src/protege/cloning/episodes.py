"""Makes zarr episodes of recorded sessions, or of a player's steps while it plays."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from protege.cloning.cache import scaled
from protege.cloning.writer import Writer
from protege.core.actions import Action, ActionSpace
from protege.core.events import AGENT
from protege.core.session import Session, Span, find_sessions
from protege.errors import UserError


@dataclass(frozen=True)
class Exported:
    """What an export did.

    episodes, frames: that were written
    skipped: sessions that the store had
    problems: what was left out, a line each
    """

    episodes: int
    frames: int
    skipped: int
    problems: tuple[str, ...] = field(default=())


def export_sessions(
    folder: Path,
    out: Path,
    size: tuple[int, int] | None = None,
    tau_ms: float = 0.0,
    cut_s: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write the sessions under a folder to the store `out`, an episode per stretch without a break.

    size: (width, height) that frames are scaled to, None as recorded
    tau_ms: the player's reaction time, see `frame_actions`
    cut_s: maximum seconds of an episode; longer stretches are cut

    Sessions that the store has are skipped, so that a second run finishes the first. UserError if there is no session,
    or sizes or action spaces differ.
    """
    found = find_sessions(folder)
    if not found:
        raise UserError(f"{folder}: no recordings; make some with: protege record, or: protege arena record")
    first = Session.open(found[0]).info.space
    episodes = frames = skipped = 0
    problems: list[str] = []
    with Writer(out, first.pressable, source="sessions", space=first) as writer:
        for number, path in enumerate(found):
            session = Session.open(path)
            if size is not None:
                writer.require_size(size)
            if session.info.space.pressable != writer.keys:
                raise UserError(
                    f"{path}: has the keys {' '.join(session.info.space.pressable)}, not {' '.join(writer.keys)}"
                )
            if session.info.space.look != first.look:
                raise UserError(f"{path}: looks with the mouse in another way than {found[0]}; export each alone")
            if session.info.extra.get("keys") is False:
                problems.append(f"{path}: a video without keys; left out")
            elif session.name in writer.sessions:
                skipped += 1
            else:
                spans = _cut(session, cut_s)
                writer.require_size(size or session.info.frame_size)
                _add_session(writer, session, spans, size or session.info.frame_size, tau_ms)
                frames += sum(span.stop - span.start for span in spans)
                episodes += len(spans)
            progress(number + 1, len(found))
    return Exported(episodes, frames, skipped, tuple(problems))


def _cut(session: Session, cut_s: float | None) -> list[Span]:
    """The session's stretches that a person played, long ones cut evenly."""
    played = [span for span in session.spans() if span.by != AGENT]
    if cut_s is None:
        return played
    most = max(1, round(cut_s * session.info.frame_hz))
    cut = []
    for span in played:
        pieces = -(-(span.stop - span.start) // most)
        edges = np.linspace(span.start, span.stop, pieces + 1).round().astype(int)
        ends = [None] * (pieces - 1) + [span.end]
        cut += [Span(int(a), int(b), span.goal, end) for a, b, end in zip(edges[:-1], edges[1:], ends, strict=True)]
    return cut


def _add_session(writer: Writer, session: Session, spans: Sequence[Span], size: tuple[int, int], tau_ms: float) -> None:
    """Write a session's spans as episodes; each says how many there are, so that a half-written session is noticed."""
    rows, motion = session.actions(tau_ms)[:, :-1], session.motion(tau_ms)
    for span in spans:
        attributes = {
            "end": span.end or "",
            "fps": session.info.frame_hz,
            "original_resolution": list(session.info.frame_size),
            "session_name": session.name,
            "session_episodes": len(spans),
        }
        frames = (picture(session.frame(i).rgb, size) for i in range(span.start, span.stop))
        actions = rows[span.start : span.stop]
        mouse = None if session.info.space.look is None else motion[span.start : span.stop].astype(np.float32)
        writer.episode(frames, actions, goal=_goals(writer, span), attributes=attributes, mouse=mouse)


def _goals(writer: Writer, span: Span) -> NDArray[np.int32] | None:
    if span.goal is None:
        return None
    return np.full(span.stop - span.start, writer.goal(span.goal), np.int32)


def picture(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An (H, W, 3) frame scaled by area to (width, height), as (3, height, width): what a store and a policy see."""
    return scaled(rgb.transpose(2, 0, 1)[None], (size[1], size[0]))[0]


class StepStore:
    """Writes a player's steps to a zarr store while it plays, an episode at a time; holds the store's lock."""

    def __init__(
        self,
        path: Path,
        keys: Sequence[str],
        size: tuple[int, int],
        source: str,
        doing: str = "protege",
        space: ActionSpace | None = None,
    ) -> None:
        """size: (width, height) that frames are scaled to; doing: the command, named to a second writer; space: of the
        actions where it has others than the twelve keys. UserError for a store of other actions or sizes, or with
        another writer.
        """
        self._writer = Writer(path, keys, source=source, doing=doing, space=space)
        self._space = space
        self._writer.require_size(size)
        self.name, self.size = str(path), size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def about(self, episode: str) -> Mapping[str, object] | None:
        """An episode's attributes, None without the episode."""
        return self._writer.sessions.get(episode)

    def add(
        self, episode: str, steps: Iterable[tuple[NDArray[np.uint8], Action]], goal: str, about: Mapping[str, object]
    ) -> int:
        """Write (H, W, 3) frames, the actions taken at each, and attributes; returns the number of frames."""
        frames: list[NDArray[np.uint8]] = []
        rows: list[list[bool]] = []
        mouse: list[tuple[float, float]] = []
        for rgb, action in steps:
            frames.append(picture(rgb, self.size))
            rows.append([key in action for key in self._writer.keys])
            mouse.append(self._space.counts(action) if self._space else (0.0, 0.0))
        goals = np.full(len(frames), self._writer.goal(goal), np.int32)
        moved = np.array(mouse, np.float32) if self._space and self._space.look else None
        said = {"session_name": episode, **about}
        self._writer.episode(frames, np.array(rows), goal=goals, attributes=said, mouse=moved)
        return len(frames)
