"""Which keys go the opposite way of each other, by what they do or else by their names."""

from typing import Final

from protege.core.actions import KEYBOARD_12, Action, ActionSpace

OPPOSITE: Final = {
    **{"left": "right", "right": "left", "up": "down", "down": "up"},
    **{"forward": "back", "back": "forward"},
}
_PLAIN: Final = {"forwards": "forward", "backward": "back", "backwards": "back"}
_BY_NAME: Final = {
    **{"w": ("move", "forward"), "s": ("move", "back"), "a": ("move", "left"), "d": ("move", "right")},
    **{way: ("turn", way) for way in ("left", "right", "up", "down")},
}
"""What keys do where their game's profile does not say."""


def way_of(space: ActionSpace, key: str) -> tuple[str, str] | None:
    """(what, way) of a key: ("turn", "left") of "turn left"; None of a key without a direction."""
    if key not in space.meanings:
        return _BY_NAME.get(key)
    *what, last = space.meanings[key].lower().split() or [""]
    way = _PLAIN.get(last, last)
    return (" ".join(what), way) if way in OPPOSITE else None


def opposites(space: ActionSpace) -> dict[str, frozenset[str]]:
    """By key, those that do the same the other way; keys without any are left out."""
    ways = {key: way for key in space.pressable if (way := way_of(space, key)) is not None}
    found = {
        key: frozenset(other for other, its in ways.items() if its == (what, OPPOSITE[way]))
        for key, (what, way) in ways.items()
    }
    return {key: others for key, others in found.items() if others}


def apart(space: ActionSpace) -> dict[str, frozenset[str]]:
    """By key, those that an answer never names beside it: its opposites, but for the twelve keys, whose models were
    trained on whatever was held.
    """
    return {} if space == KEYBOARD_12 else opposites(space)


def mirrored(action: Action, space: ActionSpace) -> Action | None:
    """The action of the mirrored picture: what goes left goes right, the mouse too.

    None where a key goes to one side and none to the other, so that nothing is right for the mirrored picture.
    """
    found: set[str] = set()
    if space.look is not None:
        yaw, pitch = space.look.bins(action)
        found = set(space.look.turned((len(space.look.yaw.symbols) - 1 - yaw, pitch)))
    other = opposites(space)
    for key in action - space.symbols:
        way = way_of(space, key)
        if way is None or way[1] not in ("left", "right"):
            found.add(key)
        elif key in other:
            found.add(min(other[key], key=space.index))
        else:
            return None
    return frozenset(found)
