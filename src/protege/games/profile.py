"""Reads games/NAME.yaml: the profile of a game, checked, and the action space that is made of its keys."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from protege.core.actions import KEYBOARD_12, NONE, ActionSpace
from protege.core.looking import BUTTONS as MOUSE_BUTTONS
from protege.core.looking import COUNTS_PER_TURN, WHEEL, Look, look
from protege.core.paths import project_root
from protege.core.text import one_line, printable
from protege.devices.places import NAMES
from protege.errors import UserError
from protege.settings import build, read_fields

SHIPPED: Final = Path(__file__).parent
DEFAULT: Final = "default"
MOST_KEYS: Final = 63
"""Keys of a profile: training keeps those of a slot as bits of one number."""
LONGEST: Final = {"a title": 200, "an action": 60, "a goal": 200}
"""Characters."""
SYNONYMS: Final = {
    **{"escape": "esc", "control": "ctrl", "return": "enter", "option": "alt", "command": "cmd", "win": "cmd"},
    **{"del": "delete", "ins": "insert", "pageup": "page_up", "pagedown": "page_down", "caps": "caps_lock"},
}
"""Other names of keys, as people write them."""
BUTTONS: Final = ("left", "middle", "right")
"""Of the mouse, as a profile calls them; as keys of a space they are "mouse_left" …"""
ON_THE_MOUSE: Final = (*MOUSE_BUTTONS, *WHEEL)
TURNS: Final = ("turn", "look")
MOVES: Final = ("move", "walk", "step", "strafe", "go")
"""First words of an action that say that its key turns the view, or moves the player."""


@dataclass(frozen=True)
class Mouse:
    """look: it turns the view; buttons: those played with; wheel: whether it is played with, too; counts_per_turn: its
    counts for a whole turn of the view.
    """

    look: bool = True
    buttons: tuple[str, ...] = ()
    counts_per_turn: float | None = None
    wheel: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """What of it can be pressed, as keys of an action space."""
        return (*(f"mouse_{button}" for button in self.buttons), *(WHEEL if self.wheel else ()))


@dataclass(frozen=True)
class Profile:
    """The file. window: whole title, a part of it, or /pattern/; None for the window that has the focus.

    keys: by their place, named as on a US keyboard; mouse: None for a game without; actions: what keys do, in words;
    never: keys that are never stored and never pressed; fps: pictures a second; size: (width, height) of the stored
    ones; goals: what may be asked for.
    """

    window: str | None = None
    keys: tuple[str, ...] = ()
    mouse: Mouse | None = None
    actions: Mapping[str, str] = field(default_factory=dict)
    never: tuple[str, ...] = ()
    fps: float = 10.0
    size: tuple[int, int] = (640, 480)
    goals: tuple[str, ...] = ()

    @property
    def pressable(self) -> tuple[str, ...]:
        """The keys, then the mouse's buttons and its wheel."""
        return self.keys if self.mouse is None else self.keys + self.mouse.keys


@dataclass(frozen=True)
class Game:
    """A profile that was read, with its name and the space of its keys."""

    name: str
    path: Path
    profile: Profile
    space: ActionSpace

    @property
    def never(self) -> frozenset[str]:
        return frozenset(self.profile.never)

    def require_keys_of(self, space: ActionSpace, what: str) -> None:
        """UserError if what was made for `space` has other keys or another mouse. what: who has them, as "the model
        models/doom".
        """
        theirs, ours = set(space.pressable), set(self.space.pressable)
        if theirs == ours:
            self._require_look_of(space.look, what)
            return
        parts = [(what, theirs - ours), (f"the game {self.name}", ours - theirs)]
        only = "; ".join(f"only {who} has: {' '.join(sorted(keys))}" for who, keys in parts if keys)
        raise UserError(
            f"{what} was made for other keys ({space.name}) than --game {self.name} has; {only}; "
            "choose the game it was recorded in, or train a model on recordings of this one"
        )

    def _require_look_of(self, theirs: Look | None, what: str) -> None:
        if theirs == (ours := self.space.look):
            return
        raise UserError(
            f"{what} {_looks(theirs)}, the game {self.name} {_looks(ours)}; set the mouse in {self.path} to "
            "what it was when the recordings were made, or train a model on recordings of this one"
        )


def _looks(found: Look | None) -> str:
    if found is None:
        return "does not look with the mouse"
    yaw, pitch = found.axes
    bins = f"{len(yaw.symbols)} bins to {yaw.centres[-1]:g} and {len(pitch.symbols)} to {pitch.centres[-1]:g} counts"
    return f"looks with the mouse (counts_per_turn: {found.counts_per_turn:g}; {bins})"


def games_folder() -> Path:
    """Where the user's own profiles lie."""
    return project_root() / "games"


def known_games() -> dict[str, Path]:
    """Every profile by its name; the user's own hide shipped ones of the same name."""
    folders = (SHIPPED, games_folder())
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def load_game(name: str) -> Game:
    """The game of --game: a name in games/ or among the shipped ones, or the path of a profile.

    UserError, which names the file, if it is none.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) or len(Path(name).parts) > 1 else known_games().get(name)
    if path is None:
        known = sorted(known_games())
        near = difflib.get_close_matches(name.lower(), known, 1, 0.3)
        hint = f"did you mean {near[0]}" if near else f"there are {', '.join(known)}"
        raise UserError(
            f"--game {one_line(name, 80)}: no such game; {hint}; make a profile of yours with: protege game new"
        )
    if not path.is_file():
        raise UserError(f"--game {one_line(name, 200)}: no such file; make one with: protege game new")
    try:
        profile = checked(build(Profile, read_fields(path, extra="record")))
    except UserError as error:
        text = str(error)
        raise UserError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    return Game(path.stem, path, profile, space_of(path.stem, profile))


def space_of(name: str, profile: Profile) -> ActionSpace:
    """The action space of a profile's keys, in their order, then the mouse's; of exactly the twelve keys and no mouse
    it is KEYBOARD_12.

    A key's action says whether it moves the player or turns the view; without one it is w s a d that move and the
    arrows that turn.
    """
    mouse, keys = profile.mouse, profile.pressable
    if set(keys) == set(KEYBOARD_12.pressable) and not (mouse is not None and mouse.look):
        return replace(KEYBOARD_12, meanings=profile.actions)
    return ActionSpace(
        name,
        (*keys, NONE),
        frozenset(key for key in keys if _kind(key, profile.actions) == "moves"),
        frozenset(key for key in keys if _kind(key, profile.actions) == "turns"),
        profile.actions,
        look(mouse.counts_per_turn or COUNTS_PER_TURN) if mouse is not None and mouse.look else None,
    )


def _kind(key: str, actions: Mapping[str, str]) -> str:
    if key in actions:
        first = actions[key].lower().split()[0]
        return "turns" if first in TURNS else "moves" if first in MOVES else ""
    return "moves" if key in KEYBOARD_12.movement else "turns" if key in KEYBOARD_12.camera else ""


def checked(profile: Profile) -> Profile:
    """A profile with every key called by its own name. UserError names what does not fit."""
    if on_the_mouse := [name for name in profile.keys if name.lower() in ON_THE_MOUSE]:
        raise UserError(
            f"keys: {on_the_mouse[0]} is no key; name it under mouse, for example "
            "mouse: {buttons: [left], wheel: true}"
        )
    keys = key_names("keys", profile.keys)
    never = key_names("never", profile.never, ON_THE_MOUSE)
    if not keys:
        raise UserError("keys is empty; list the keys you play with, for example keys: [w, a, s, d, space]")
    _check_mouse(profile.mouse)
    pressable = keys + (profile.mouse.keys if profile.mouse is not None else ())
    if len(pressable) > MOST_KEYS:
        raise UserError(f"keys: {len(pressable)} keys, expected at most {MOST_KEYS}; leave out those you hardly use")
    if both := [key for key in pressable if key in never]:
        raise UserError(f"{both[0]} is in keys and in never; leave it out of one of them")
    actions = {key_names("actions", (key,), ON_THE_MOUSE)[0]: text.strip() for key, text in profile.actions.items()}
    if len(actions) < len(profile.actions):
        raise UserError("actions names a key twice; give each key one action")
    if strange := [key for key in actions if key not in pressable]:
        where = "mouse" if strange[0] in ON_THE_MOUSE else "keys"
        raise UserError(f"actions: {strange[0]} is not in {where}{_nearest(strange[0], pressable)}")
    for key, text in actions.items():
        _require_text("an action", text, f"actions.{key}")
    for number, goal in enumerate(profile.goals):
        _require_text("a goal", goal, f"goals[{number}]")
    _check_window(profile.window)
    if not 1 <= profile.fps <= 120:
        raise UserError(f"fps is {profile.fps:g}, expected 1 to 120 pictures a second; 10 is what the models expect")
    if not all(16 <= side <= 7680 for side in profile.size):
        raise UserError(f"size is {list(profile.size)}, expected sides of 16 to 7680 pixels, for example [640, 480]")
    return replace(profile, keys=keys, never=never, actions=actions)


def key_names(what: str, names: Sequence[str], more: Sequence[str] = ()) -> tuple[str, ...]:
    """Keys by their own names ("Escape" is esc). UserError, with the nearest name, for what no key is called.

    more: names beside those of keys.
    """
    known = NAMES.union(more)
    found: list[str] = []
    for name in names:
        key = SYNONYMS.get(name.lower(), name.lower())
        if key not in known:
            raise UserError(
                f"{what}: no key is called {one_line(repr(name), 40)}{_nearest(key, known | SYNONYMS.keys())}; "
                "keys are called as on a US keyboard: a, 1, space, enter, ctrl, shift, left, f1 …"
            )
        if key in found:
            raise UserError(f"{what}: {key} is listed twice; list it once")
        found.append(key)
    return tuple(found)


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1, 0.4)
    return f"; did you mean {near[0]}?" if near else ""


def _check_window(window: str | None) -> None:
    if window is None:
        return
    _require_text("a title", window, "window")
    if len(window) > 2 and window[0] == window[-1] == "/":
        try:
            re.compile(window[1:-1])
        except re.error as error:
            raise UserError(
                f"window: {one_line(window, 80)} is not a pattern ({error}); write the whole title, or mend it"
            ) from None


def _check_mouse(mouse: Mouse | None) -> None:
    if mouse is None:
        return
    for button in mouse.buttons:
        if button not in BUTTONS:
            raise UserError(
                f"mouse.buttons: no button is called {one_line(repr(button), 40)}; expected left, middle, right"
            )
    if len(set(mouse.buttons)) < len(mouse.buttons):
        raise UserError("mouse.buttons lists a button twice; list it once")
    if mouse.counts_per_turn is not None and not 1 <= mouse.counts_per_turn <= 1e6:
        raise UserError(f"mouse.counts_per_turn is {mouse.counts_per_turn:g}, expected 1 to 1,000,000 counts")


def _require_text(kind: str, text: str, where: str) -> None:
    if not text.strip() or len(text) > LONGEST[kind] or "\n" in text or printable(text) != text:
        raise UserError(
            f"{where}: {one_line(repr(text), 40)} is not {kind}; expected 1 to {LONGEST[kind]} characters on one line"
        )
