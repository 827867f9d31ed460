"""`protege play --features`: the control transformer plays, with real keys, through a mod, or on paper."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from protege.agent.loop import World
from protege.agent.run import PlayOptions, real_world
from protege.agent.vision import VisionOptions
from protege.controls.bridge import MINECRAFT, Bridge, KeyboardBridge, PrintBridge
from protege.controls.live import Counts, open_stream, play
from protege.controls.policy import load
from protege.controls.websocket import WebSocketBridge
from protege.core.devices import MonotonicClock
from protege.devices.pointer import open_pointer
from protege.devices.watchdog import Watchdog
from protege.errors import ProtegeError, UserError

MayAct = Callable[[], bool]


class Stopped(Exception):
    """The person at the keyboard has pressed the stop key."""


@dataclass(frozen=True)
class FeatureOptions:
    """model: file or folder; features: a recording, a file or pipe of JSON lines, or "-"; bridge: "keyboard", or a
    mod's address; dry_run: print the messages and press nothing. The rest is as in `PlayOptions`.
    """

    model: str
    features: str
    bridge: str = "keyboard"
    dry_run: bool = False
    window: str | None = None
    max_minutes: float = 10.0
    countdown_s: float = 3.0
    stop_key: str = "f12"
    toggle_key: str = "p"


def play_features(options: FeatureOptions, say: Callable[[str], None]) -> Counts:
    """Play until the features end, time is up, or a person stops it. Everything is let go of in all cases."""
    if options.bridge != "keyboard" and "://" not in options.bridge:
        raise UserError(f"--bridge {options.bridge}: expected keyboard, or a mod's address such as ws://127.0.0.1:8765")
    policy = load(options.model)
    clock = MonotonicClock()
    stream = open_stream(options.features, clock)
    with ExitStack() as stack:
        bridge, may_act = _open(options, clock, stack, say)
        stack.callback(bridge.close)
        counts = Counts()
        try:
            play(policy, stream, bridge, clock, may_act, options.max_minutes * 60, counts)
        except (KeyboardInterrupt, Stopped):
            say("stopped by hand")
        return counts


def _open(
    options: FeatureOptions, clock: MonotonicClock, stack: ExitStack, say: Callable[[str], None]
) -> tuple[Bridge, MayAct]:
    if options.dry_run:
        return PrintBridge(sys.stdout), lambda: True
    if options.bridge != "keyboard":
        return WebSocketBridge(options.bridge), lambda: True
    play_options = PlayOptions(
        goal="-",
        window=options.window,
        countdown_s=options.countdown_s,
        stop_key=options.stop_key,
        toggle_key=options.toggle_key,
        vision=VisionOptions(space=MINECRAFT),
    )
    watchdog = stack.enter_context(Watchdog(MINECRAFT, mouse=True))  # real_world's own sees to the keys alone
    world = real_world(play_options, clock, stack, say)
    return KeyboardBridge(world.keys, open_pointer(), world.window), Permission(world, lambda: watchdog.alive)


class Permission:
    """Whether the policy may act: not while a person plays, who takes over with any key of the game."""

    def __init__(self, world: World, watched: Callable[[], bool]) -> None:
        """watched: whether somebody would let go of the mouse if we were killed."""
        self._world, self._watched = world, watched
        self._by_hand = False

    def __call__(self) -> bool:
        """Raises `Stopped` after the stop key, ProtegeError when something is gone that play cannot do without."""
        lost = self._world.lost() or (
            None if self._watched() else "the watchdog that would release the mouse has ended"
        )
        if lost is not None:
            raise ProtegeError(f"{lost}; nothing is held")
        for heard in self._world.human.heard():
            if heard.what == "stop":
                raise Stopped
            self._by_hand = not self._by_hand if heard.what == "toggle" else True
        return not self._by_hand
