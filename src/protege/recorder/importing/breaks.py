"""Where an imported recording says nothing it is cut: a break with a reason, never a repeat of what was before."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, TypeVar

from protege.core.events import PAUSES, Event, Held, Key, Motion, Pause, longest_step_ns

SILENCE_NS: Final = 2_000_000_000
"""A screen that does not change sends no picture, so one may stand this long; ocap sends one every 1.3 s at least."""

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class Break:
    """Nothing of [start_ns, stop_ns) is used; why: a word of `PAUSES`; detail: what was found, in words."""

    start_ns: int
    stop_ns: int
    why: str
    detail: str = ""

    def text(self, origin_ns: int) -> str:
        """One line for people, with times counted from `origin_ns`."""
        start, stop = (max(0, t - origin_ns) / 1e9 for t in (self.start_ns, self.stop_ns))
        return f"{start:.1f} s to {stop:.1f} s left out: {PAUSES[self.why]}{f' ({self.detail})' if self.detail else ''}"


def merged(breaks: Iterable[Break]) -> list[Break]:
    """The breaks in order of time, those that meet as one, whose reason is the first's."""
    found: list[Break] = []
    for one in sorted(breaks):
        if found and one.start_ns <= found[-1].stop_ns:
            found[-1] = replace(found[-1], stop_ns=max(found[-1].stop_ns, one.stop_ns))
        elif one.start_ns < one.stop_ns:
            found.append(one)
    return found


def outside(ticks: Iterable[tuple[int, T]], breaks: Sequence[Break]) -> Iterator[tuple[int, T]]:
    """The ticks that lie in no break; both in order of time."""
    rest = iter(breaks)
    ahead = next(rest, None)
    for t_ns, value in ticks:
        while ahead is not None and ahead.stop_ns <= t_ns:
            ahead = next(rest, None)
        if ahead is None or t_ns < ahead.start_ns:
            yield t_ns, value


_END: Final = object()


def resample(
    pictures: Iterable[tuple[int, T | None]], period_ns: int, until_ns: int, missing: list[Break] | None = None
) -> Iterator[tuple[int, T]]:
    """At every tick from the first picture's time to `until_ns` (left out), the newest picture at or before it.

    pictures: in order of time (ns); None where one should be and is not: from there on the last one no longer stands,
    unless the next comes within a few periods. A screen that did not change sent no picture: the old one stands for
    `SILENCE_NS` at most. The ticks without a picture are left out and added to `missing`.
    """
    latest: tuple[int, T] | None = None
    lost: int | None = None
    tick = 0
    for t_ns, picture in chain(pictures, [(until_ns, _END)]):
        if picture is None:
            lost = t_ns if lost is None else lost
            continue
        stop = min(t_ns, until_ns)
        if latest is None:
            tick = t_ns
        else:
            shown = _shown_until(latest[0], lost, stop, period_ns)
            if shown < stop and missing is not None:
                missing.append(Break(shown, stop, "pictures"))
            while tick < shown:
                yield tick, latest[1]
                tick += period_ns
            tick += max(0, -(-(stop - tick) // period_ns)) * period_ns
        latest, lost = (t_ns, picture), None  # pyright: ignore[reportAssignmentType]


def _shown_until(since: int, lost: int | None, stop: int, period_ns: int) -> int:
    end = lost if lost is not None and stop - lost > longest_step_ns(period_ns) else stop
    return end if end - since <= SILENCE_NS else since + period_ns


def cut_events(
    changes: Iterable[Key | Motion], breaks: Sequence[Break], start_ns: int, stop_ns: int
) -> Iterator[Event]:
    """The events of a session from start to stop: key changes and motion of the mouse outside the breaks, and around
    each break a pause and what is held behind it.

    changes: of the whole recording, so that what is held at the start is known.
    """
    # At one time a key changes first, so that what is held behind a break is as it is from then on.
    marks: list[tuple[int, int, Break | Key | Motion]] = [
        *((one.stop_ns, 1, one) for one in breaks),
        *((one.start_ns, 2, one) for one in breaks),
        *((change.t_ns, 0, change) for change in changes),
    ]
    down: set[str] = set()
    within: Break | None = None
    started = False
    for t_ns, kind, mark in sorted(marks, key=lambda mark: mark[:2]):
        if t_ns >= stop_ns:
            break
        if not started and t_ns > start_ns:
            started = True
            if within is None:
                yield Held(start_ns, frozenset(down))
        if isinstance(mark, Break):
            within = mark if kind == 2 else None
            if started:
                yield Pause(t_ns, mark.why) if kind == 2 else Held(t_ns, frozenset(down))
            continue
        if isinstance(mark, Key):
            (down.add if mark.down else down.discard)(mark.key)
        if started and within is None:
            yield mark
    if not started and within is None:
        yield Held(start_ns, frozenset(down))
    if within is None:
        yield Pause(stop_ns, "stop")
