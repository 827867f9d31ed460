"""Cross-checks of what an OWAMcap recording says of its keys: its messages against each other."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from protege.core.actions import Action, ActionSpace
from protege.core.events import NEVER_NS, Key
from protege.core.looking import WHEEL
from protege.core.text import one_line
from protege.errors import UserError
from protege.recorder.importing.breaks import Break
from protege.recorder.importing.owamcap_messages import Recording

VIRTUAL_KEYS: Final = {
    **{code: chr(code).lower() for code in (*range(0x30, 0x3A), *range(0x41, 0x5B))},
    **{0x25: "left", 0x26: "up", 0x27: "right", 0x28: "down", 0x20: "space", 0x0D: "enter", 0x1B: "esc", 0x09: "tab"},
    **{0x08: "backspace", 0x14: "caps_lock", 0x21: "page_up", 0x22: "page_down", 0x23: "end", 0x24: "home"},
    **{0x2D: "insert", 0x2E: "delete", 0x5B: "cmd", 0x5C: "cmd", 0x5D: "menu", 0x6A: "kp_multiply", 0x6B: "kp_add"},
    **{0x6D: "kp_subtract", 0x6E: "kp_decimal", 0x6F: "kp_divide", 0x90: "num_lock", 0x91: "scroll_lock"},
    **{
        0x60 + n: name
        for n, name in enumerate(["kp0", "kp1", "down", "kp3", "left", "kp5", "right", "kp7", "up", "kp9"])
    },
    **{0x70 + n: f"f{n + 1}" for n in range(12)},
    **dict(zip((0xBA, 0xBB, 0xBC, 0xBD, 0xBE, 0xBF, 0xC0, 0xDB, 0xDC, 0xDD, 0xDE), ";=,-./`[\\]'", strict=True)),
    **dict.fromkeys((0x10, 0xA0, 0xA1), "shift"),
    **dict.fromkeys((0x11, 0xA2, 0xA3), "ctrl"),
    **dict.fromkeys((0x12, 0xA4, 0xA5), "alt"),
}
"""Windows virtual-key codes to our names; two codes of one name (both Ctrl keys) are one key. The letters and signs go
by the layout of the recording, which it does not tell.
"""
PAIRS: Final = {0x10: {0xA0, 0xA1}, 0x11: {0xA2, 0xA3}, 0x12: {0xA4, 0xA5}}
"""A state tells of these keys twice, by their side and without; events only by their side."""


def names_of(space: ActionSpace) -> dict[int, str]:
    """Names of the codes; Ctrl crouches in many games, so it is c where the space has no ctrl, as in the recorder."""
    instead = {} if "ctrl" in space.pressable else {"ctrl": "c"}
    return {code: instead.get(name, name) for code, name in VIRTUAL_KEYS.items()}


RACE_NS: Final = 100_000_000
"""A state that was read while a key changed may show it as before or as after."""
DISORDER_NS: Final = 50_000_000
"""By more than this no picture is older than the one before it, unless the clock was set back."""


@dataclass
class KeyChanges:
    """changes: the true changes of keys of the space, in order of time; breaks: where some are missing; counts: kept,
    outside (the space), repeats (of a held key).
    """

    changes: list[Key] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def key_changes(recording: Recording, space: ActionSpace, stop_ns: int) -> KeyChanges:
    """What the key events say, checked against the keyboard's states, which ocap writes once a second.

    Where they contradict each other an event is missing since the last moment at which they agreed: a break, behind
    which the state counts. The same where a key goes up that was not down.
    """
    found = KeyChanges()
    held: set[int] = set()
    agreed: dict[str, int] = {}
    first_ns = recording.first_ns
    named = names_of(space)
    touched = _times_of_names(recording, named)
    for t_ns, state, event in _in_order(recording):
        before = _names(held, space, named)
        if state is not None:
            state -= {either for either, sides in PAIRS.items() if state & sides}
            after = _names(state, space, named)
            for name in before ^ after:
                if name in agreed and _near(touched.get(name, []), t_ns):
                    continue
                says = f"the keyboard's state says {name} is {'held' if name in after else 'up'}"
                found.breaks.append(Break(agreed.get(name, first_ns), t_ns, "keys", says))
                held = {code for code in held if named.get(code) != name}
                held |= {code for code in state if named.get(code) == name}
            agreed |= dict.fromkeys((name for name in space.pressable if (name in before) == (name in after)), t_ns)
        elif event is not None:
            code, down = event
            name = named.get(code, "")
            if name in space.pressable:
                if not down and code not in held and name not in before:
                    says = f"{name} went up and had never gone down"
                    found.breaks.append(Break(agreed.get(name, first_ns), t_ns, "keys", says))
                agreed[name] = t_ns
            _count(found.counts, name in space.pressable, down and code in held, t_ns, stop_ns)
            (held.add if down else held.discard)(code)
        after = _names(held, space, named)
        found.changes += [Key(t_ns, name, name in after) for name in sorted(before ^ after)]
    return found


def _count(counts: Counter[str], known: bool, repeated: bool, t_ns: int, stop_ns: int) -> None:
    if t_ns < stop_ns:
        counts["outside" if not known else "repeats" if repeated else "kept"] += 1


def _in_order(recording: Recording) -> list[tuple[int, frozenset[int] | None, tuple[int, bool] | None]]:
    """(time, state, None) and (time, None, key event), in order of time, events first where they meet."""
    events = [(t_ns, None, (code, down)) for t_ns, code, down in recording.keys]
    states = [(t_ns, codes, None) for t_ns, codes in recording.states]
    return sorted([*events, *states], key=lambda message: message[0])


def _times_of_names(recording: Recording, named: Mapping[int, str]) -> dict[str, list[int]]:
    times: dict[str, list[int]] = {}
    for t_ns, code, _ in recording.keys:
        times.setdefault(named.get(code, ""), []).append(t_ns)
    return times


def _near(times: list[int], t_ns: int) -> bool:
    """Whether one of the times, which are in order, is close to this one."""
    i = bisect_left(times, t_ns - RACE_NS)
    return i < len(times) and times[i] <= t_ns + RACE_NS


def _names(codes: Iterable[int], space: ActionSpace, named: Mapping[int, str]) -> Action:
    return space.only(named.get(code, "") for code in codes)


def button_changes(recording: Recording, space: ActionSpace, period_ns: int) -> list[Key]:
    """What the mouse's buttons and wheel did, as keys of the space, in order of time.

    A notch of the wheel is down for one period, and longer where the next one comes before; a button is down but once.
    """
    changes: list[Key] = []
    held: dict[str, int] = {}
    for t_ns, name, down in [*recording.buttons, (NEVER_NS, "", False)]:
        for wheel in [wheel for wheel in WHEEL if wheel in held and held[wheel] + period_ns <= t_ns]:
            changes.append(Key(held.pop(wheel) + period_ns, wheel, False))
        if name not in space.pressable:
            continue
        if down != (name in held):
            changes.append(Key(t_ns, name, down))
        if down:
            held[name] = t_ns
        else:
            held.pop(name, None)
    return sorted(changes, key=lambda change: change.t_ns)


def own_changes(changes: Iterable[Key], elsewhere: Sequence[Break]) -> Iterator[Key]:
    """The changes without keys that went down while another window was active: they are not the game's until they go
    down again.
    """
    foreign: set[str] = set()
    starts = [one.start_ns for one in elsewhere]
    for change in changes:
        i = bisect_right(starts, change.t_ns) - 1
        if change.down and i >= 0 and change.t_ns < elsewhere[i].stop_ns:
            foreign.add(change.key)
        elif change.key in foreign:
            foreign.discard(change.key)
        else:
            yield change


def window_breaks(recording: Recording, stop_ns: int) -> list[Break]:
    """Where another window than the game's was active; the game's is the one that was active longest."""
    windows = recording.windows
    if not windows:
        return []
    ends = [*(t_ns for t_ns, *_ in windows[1:]), max(stop_ns, windows[-1][0])]
    title, handle = game_window(recording, stop_ns)
    return [
        Break(t_ns, end_ns, "focus", one_line(other, 60))
        for (t_ns, other, _, number), end_ns in zip(windows, ends, strict=True)
        if other != title and (handle is None or number != handle)
    ]


def game_window(recording: Recording, stop_ns: int) -> tuple[str, int | None]:
    """(title, handle) of the window that was active longest; a game may change its title and keep its handle."""
    windows = recording.windows
    ends = [*(t_ns for t_ns, *_ in windows[1:]), max(stop_ns, windows[-1][0])]
    longest, titles = Counter[int | str](), Counter[tuple[int | str, str]]()
    for (t_ns, title, _, handle), end_ns in zip(windows, ends, strict=True):
        key = title if handle is None else handle
        longest[key] += end_ns - t_ns + 1
        titles[key, title] += end_ns - t_ns + 1
    game = max(longest, key=lambda key: longest[key])
    title = max((t for key, t in titles if key == game), key=lambda title: titles[game, title])
    return title, game if isinstance(game, int) else None


def require_pictures_in_order(path: object, recording: Recording) -> None:
    """UserError where the pictures' order in the video contradicts their times: its clock was set back, and nothing
    tells which key belongs to which side of that moment.
    """
    latest_ns = -1
    for t_ns, pts_ns, uri in sorted(recording.screens, key=lambda screen: screen[1]):
        if uri != recording.video:
            continue
        if t_ns < latest_ns - DISORDER_NS:
            raise UserError(
                f"{path}: its clock was set back by {(latest_ns - t_ns) / 1e9:.1f} s at {pts_ns / 1e9:.1f} s of the "
                "video, so its keys cannot be told apart; expected times that only grow, leave this recording out"
            )
        latest_ns = max(latest_ns, t_ns)
