"""Warnings about the data: each says what was found, what it leads to, and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protege.core.labeled import NEEDS_REVIEW
from protege.core.momentary import LONGEST
from protege.core.quality import MIN_ACTIVE
from protege.labeling.measure import Measured
from protege.labeling.pieces import Contents

STRAIGHT: Final = 0.6
MIN_TURNING: Final = 0.05
ONE_SIDED: Final = 4.0
"""Turning one way so many times as often as the other."""
ONE_GOAL: Final = 0.5
MIN_SAMPLES_PER_GOAL: Final = 20
MIN_DONE: Final = 0.002
EQUAL_FRAMES: Final = 0.3
LOST_CHORDS: Final = 0.15
TOO_EVEN_BITS: Final = 1.0
RECOMMENDED_HOURS: Final = (2.0, 3.0)
OPPOSITE: Final = (("left", "right"), ("up", "down"))
"""Ways to turn: names of keys, or the last word of what a key does ("turn left")."""


@dataclass(frozen=True)
class Warning:
    """found: with numbers; remedy: what it leads to and what to do about it."""

    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.found}: {self.remedy}"


def warnings(contents: Contents, data: Measured) -> list[Warning]:
    """All warnings, the gravest first."""
    return [
        *_amount(contents, data),
        *_variety(data),
        *_turning(data),
        *_momentary(data),
        *_goals(contents, data),
        *_frames(contents, data),
    ]


def percent(share: float) -> str:
    """A share for people: "12 %", with a decimal below one."""
    return f"{100 * share:.1f} %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def hours(contents: Contents) -> float:
    return sum(session.minutes for session in contents.sessions) / 60


def _amount(contents: Contents, data: Measured) -> Iterator[Warning]:
    least, most = RECOMMENDED_HOURS
    recorded = hours(contents)
    if not data.windows:
        yield Warning("no training windows at all", "nothing can be learned from this; record with keys, then label")
    elif recorded < least:
        have = f"{60 * recorded:.1f} minutes" if recorded < 1 else f"{recorded:.1f} hours"
        yield Warning(
            f"{have} of play, {percent(recorded / least)} of the recommended {least:g} to {most:g} hours",
            f"record {least - recorded:.1f} hours more, in varied places, before expecting much",
        )


def _variety(data: Measured) -> Iterator[Warning]:
    if not data.windows:
        return
    key, share = data.straight
    if share >= STRAIGHT:
        leads, record = ("walk straight", "turning") if data.space.camera else ("do nothing else", "other keys")
        yield Warning(
            f"{percent(share)} of windows are only {key}",
            f"the agent will {leads}; record {record}, or train with `balance: true`",
        )
    elif data.first_entropy < TOO_EVEN_BITS:
        action, count = data.first.most_common(1)[0]
        yield Warning(
            f"{percent(count / data.windows)} of first actions are {action} ({data.first_entropy:.2f} bits)",
            "the agent will repeat it; record more varied play, or train with `balance: true`",
        )
    if data.frames and 1 - data.idle_share < MIN_ACTIVE:
        yield Warning(
            f"a key is held in {percent(1 - data.idle_share)} of frames",
            "the agent will stand still; play with the keyboard while recording",
        )
    if data.chord_share >= LOST_CHORDS and not data.chords_named:
        yield Warning(
            f"several keys at once in {percent(data.chord_share)} of frames, and a slot names one",
            "the others are lost; label with --chords --redo",
        )


def _turning(data: Measured) -> Iterator[Warning]:
    turning = data.turning
    if not data.frames or not turning:
        return
    total = sum(turning.values())
    if data.space.look and not data.looked:
        yield Warning(
            "the mouse never turned the view",
            "the agent will not look with it; look around with the mouse while recording, and check with protege "
            "doctor that its motion is heard",
        )
        if not data.space.camera:
            return
    if total < MIN_TURNING and data.space.look:
        yield Warning(
            f"the view is turned ({', '.join(turning)}) in {percent(total)} of frames",
            "the agent will hardly turn; look around while recording",
        )
        return
    if total < MIN_TURNING:
        yield Warning(
            f"the camera keys ({', '.join(turning)}) are held in {percent(total)} of frames",
            "the agent will hardly turn; look around with these keys while recording, not with the mouse",
        )
        return
    ways: dict[str, dict[str, float]] = {}
    for key, share in turning.items():
        ways.setdefault(data.space.meanings.get(key, key).lower().split()[-1], {})[key] = share
    for one, other in OPPOSITE:
        if one not in ways or other not in ways:
            continue
        more, less = sorted((one, other), key=lambda way: -sum(ways[way].values()))
        shares = {way: sum(ways[way].values()) for way in (more, less)}
        if shares[more] >= MIN_TURNING and shares[more] >= ONE_SIDED * shares[less]:
            told = {way: " ".join(data.space.told(key) for key in ways[way]) for way in (more, less)}
            yield Warning(
                f"{told[more]} {percent(shares[more])}, {told[less]} {percent(shares[less])}",
                f"the agent will spin {more}; record goals that lie to the {less}"
                if one == "left"
                else f"the agent will end up looking {more}; look {less} again while recording",
            )


def _momentary(data: Measured) -> Iterator[Warning]:
    for key, presses in data.momentary.items():
        times = "once" if presses.count == 1 else f"{presses.count:,} times"
        yield Warning(
            f"{key} is pressed {times}, for {presses.median / data.frame_hz:.1f} s (median), in "
            f"{percent(presses.share)} of frames",
            "a model hardly learns to press it, since no picture tells the very moment; hold it for "
            f"{(LONGEST + 1) / data.frame_hz:.1f} s or longer, press it again until it works, and record more of it",
        )


def _goals(contents: Contents, data: Measured) -> Iterator[Warning]:
    review = data.by_status[NEEDS_REVIEW]
    if review and contents.labeled:
        yield Warning(
            f"{review} of {data.segments} segments need review",
            "they are not trained on; look at them and approve or correct their goals with: protege review",
        )
    samples = sum(goal.samples for goal in data.goals.values())
    if not samples:
        return
    name, most = max(data.goals.items(), key=lambda item: item[1].samples)
    share = most.samples / samples
    if len(data.goals) == 1 or share >= ONE_GOAL:
        yield Warning(
            f'one goal, "{name}", has {percent(share)} of samples',
            "the agent will ignore what it is told; record other goals",
        )
    rare = [goal for goal in data.goals.values() if goal.samples < MIN_SAMPLES_PER_GOAL]
    if len(rare) > len(data.goals) / 2 and len(data.goals) > 1:
        yield Warning(
            f"{len(rare)} of {len(data.goals)} goals have fewer than {MIN_SAMPLES_PER_GOAL} samples",
            "too few to learn a goal from; record each again, or label with a prompt that names goals alike",
        )
    if data.done_share < MIN_DONE:
        yield Warning(
            f"{data.done} samples say that the goal is reached ({percent(data.done_share)})",
            "the agent will not know when to stop; let go of all keys for a second when you have arrived",
        )


def _frames(contents: Contents, data: Measured) -> Iterator[Warning]:
    equal, compared = data.duplicates
    if compared and equal / compared >= EQUAL_FRAMES:
        yield Warning(
            f"{percent(equal / compared)} of neighbouring frames are equal ({compared} pairs looked at)",
            "the game was paused, in a menu, or drawn more slowly than recorded; pause the recording with it",
        )
    bad = [session for session in contents.sessions if session.reasons]
    if bad:
        reasons = bad[0].reasons or ("",)
        yield Warning(f"{len(bad)} of {len(contents.sessions)} sessions are not good", f"{bad[0].name}: {reasons[0]}")
    if contents.unread:
        yield Warning(f"{len(contents.unread)} sessions give no samples", contents.unread[0])
