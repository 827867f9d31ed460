"""Plays every task from the engine's own state, in a way that a policy which sees only pictures can learn."""

import math
import random
from dataclasses import dataclass
from typing import Final

import numpy as np

from protege.arena.layouts import Feature, Layout, Placed, Point, Pose
from protege.arena.rooms import STEPS, passes
from protege.arena.state import ArenaState, reached, touches
from protege.arena.tasks import MemoryTask, Task
from protege.arena.udmf import CELL
from protege.core.actions import KEYBOARD_12, NO_KEYS, Action, ActionSpace

IN_VIEW_DEG: Final = 40.0
"""A goal within this angle is on the screen (the view is 90 degrees wide)."""
_AIMED_DEG: Final = 7.0
_DRIFTED_DEG: Final = 10.0
_CORRECTED_DEG: Final = 4.0
_LOST_DEG: Final = 35.0
_SWING_DEG: Final = 12.0
"""What the engine's keys turn by in one decision, too."""
_WALKS_DEG: Final = 25.0
_STEADY_DEG: Final = 1.5
"""With the mouse: within what angle it walks, and within what it leaves the mouse alone."""
_JERK_DEG: Final = 25.0
"""How far a slip of the hand turns the view, at most."""
_GAIN: Final = 0.7
"""Of the way that is left, how much a hand on the mouse turns in one decision."""
_USE_RANGE: Final = 44.0
"""The engine's is 64: who presses "use" somewhat earlier than the expert opens the door all the same."""
_USE_HELD: Final = 2
_USE_EVERY: Final = 4
"""Before a closed door "use" is held for so many decisions of every so many: the engine takes a key that is held on for
one press.
"""
_DETOURS: Final = tuple(frozenset(keys) for keys in (("a",), ("d",), ("w", "left"), ("w", "right"), ("left",), ("s",)))


@dataclass
class Expert:
    """Looks for the goal, turns to it, walks until it has arrived, and stops.

    It never lets go of the keys before: sliding on, it would hold nothing at a distance where one who stands holds
    nothing either, and who learns from single pictures cannot tell the two and stands there for ever.
    Until the goal has been on the screen it turns right, never the shorter way: a policy cannot know from the picture
    on which side an unseen goal is. It looks for each leg of a goal that has several in the same way, and again where
    a turntable has turned it. noise is the chance, at every decision before arrival, that something goes wrong:
    a late reaction (the last keys are held on for 2 to 4 decisions) or a detour (other keys for 3 to 6).
    In a space with a mouse it looks with that: the farther it has to turn, the faster, up to `_SWING_DEG` a decision.
    """

    noise: float = 0.0
    seed: int = 0
    space: ActionSpace = KEYBOARD_12

    def __post_init__(self) -> None:
        self._rng = random.Random(f"protege-expert {self.seed}")
        self.start_episode()

    def start_episode(self) -> None:
        """Forgets the last episode."""
        self.take_over()
        self._layout: Layout | None = None
        self._legs: list[Placed] = []

    def take_over(self) -> None:
        """Forgets what it was about to do, not what has been done in this episode."""
        self._done = self._seen = self._walking = False
        self._turning: str | None = None
        self._last: Action = NO_KEYS
        self._forced: list[Action] = []
        self._before: Pose | None = None
        self._stuck = 0
        self._at_door = 0

    def act(self, state: ArenaState) -> Action:
        """The keys to hold for the next decision; a new layout starts a new episode."""
        self._follow(state)
        self._done = self._done or reached(state) or bool(state.layout.legs and not self._legs)
        if self._done:
            return NO_KEYS
        if not self._forced and self._rng.random() < self.noise:
            self._disturb()
        self._watch_progress(state.pose)
        action = self._forced.pop() if self._forced else self._play(state)
        self._before, self._last = state.pose, action
        return action

    def _follow(self, state: ArenaState) -> None:
        """Note a new episode, a leg that is done, and a turntable's turn."""
        if state.layout != self._layout:
            self.start_episode()
            self._layout, self._legs = state.layout, list(state.layout.legs)
        if self._legs and touches(state.pose, self._legs[0]):
            self._look_again()
            del self._legs[0]
        if state.layout.turntable and self._before is not None and _sent(self._before, state.pose):
            self._look_again()

    def _look_again(self) -> None:
        self._seen = self._walking = False
        self._turning = None

    def _disturb(self) -> None:
        if self.space.look is not None and self._rng.random() < 0.5:
            turned = self._swing(self._rng.uniform(-_JERK_DEG, _JERK_DEG))
            self._forced = [turned | (self._last & {"w"})] * self._rng.randint(1, 2)
        elif self._last and self._rng.random() < 0.5:
            self._forced = [self._last] * self._rng.randint(2, 4)
        else:
            self._forced = [self._by_mouse(self._rng.choice(_DETOURS))] * self._rng.randint(3, 6)

    def _watch_progress(self, pose: Pose) -> None:
        """After three decisions of walking on the spot: back and to one side."""
        moved = self._before is None or pose.distance((self._before.x, self._before.y)) > 3
        self._stuck = self._stuck + 1 if "w" in self._last and not moved else 0
        if self._stuck >= 3 and not self._forced:
            side = self._rng.choice("ad")
            self._forced = [frozenset(side)] * 4 + [frozenset("s")] * 2
            self._stuck = 0

    def _play(self, state: ArenaState) -> Action:
        aim = self._aim(state)
        error = state.pose.bearing(aim)
        if not self._seen:
            if abs(error) > IN_VIEW_DEG:
                return self._by_mouse(frozenset(("right",)))
            self._seen = True
        if state.layout.goal.task in (Task.OPEN_DOOR, MemoryTask.OTHER_DOOR) and (use := self._door(state)) is not None:
            return use
        self._steer(error)
        turn = self._turn(error)
        if not self._walking:
            return turn
        return frozenset("w") | turn | self._around(state, self._legs[0].at if self._legs else state.layout.aim)

    def _aim(self, state: ArenaState) -> Point:
        """Where to look and walk now: the goal, unless the way there has a corner."""
        layout, pose = state.layout, state.pose
        here = (pose.x, pose.y)
        if self._legs:
            return self._legs[0].at
        if layout.goal.task is Task.CLIMB_STAIRS and layout.stairs is not None:
            inside = layout.stairs.incidence_deg(here) > 90 and not layout.rooms[0].holds(here)
            if inside or pose.distance(layout.aim) < 48:
                return _beyond(layout.stairs)
        wall = layout.wall(layout.goal.task)
        if wall is not None and wall.incidence_deg(here) > 58:
            return wall.front(150)
        if layout.opening is not None and layout.rooms[0].holds(here) != layout.rooms[0].holds(layout.aim):
            between = self._aim_through(layout, here)
            return between or layout.aim
        return layout.aim

    def _aim_through(self, layout: Layout, here: Point) -> Point | None:
        """The middle of the opening, where the straight way to the goal would meet a wall."""
        opening = layout.opening
        assert opening is not None
        if passes(here, layout.aim, opening, margin=24):
            return None
        ahead = opening.front(-1.5 * CELL) if layout.rooms[0].holds(here) else opening.front(CELL)
        return ahead if max(abs(ahead[0] - here[0]), abs(ahead[1] - here[1])) > 24 else None

    def course(self, state: ArenaState) -> tuple[float, float]:
        """The way to the goal, by its next corner: units still to walk, and degrees to turn (positive to the left)."""
        self._follow(state)
        aim, layout = self._aim(state), state.layout
        stairs = layout.stairs if layout.goal.task is Task.CLIMB_STAIRS else None
        end = layout.aim if stairs is None else _beyond(stairs)
        return state.pose.distance(aim) + math.dist(aim, end), state.pose.bearing(aim)

    def _steer(self, error: float) -> None:
        """Updates the turn key and whether to walk, with slack both ways so that keys are held, not jittered."""
        side = "left" if error > 0 else "right"
        size = abs(error)
        if self.space.look is not None:
            self._walking = size <= _WALKS_DEG
            self._turning = side if size > _STEADY_DEG else None
            return
        if self._walking:
            if size > _LOST_DEG:
                self._walking = False
            if size > _DRIFTED_DEG or (self._turning == side and size > _CORRECTED_DEG):
                self._turning = side
            else:
                self._turning = None
            return
        self._walking = size <= _AIMED_DEG
        self._turning = None if self._walking else side

    def _turn(self, error: float) -> Action:
        """The turn of this decision."""
        if self._turning is None:
            return NO_KEYS
        if self.space.look is None:
            return frozenset((self._turning,))
        return self._swing(math.copysign(min(abs(error) * _GAIN, _SWING_DEG), -error))

    def _by_mouse(self, action: Action) -> Action:
        """Keys as they are, but turns by the mouse where the space has one."""
        if self.space.look is None:
            return action
        ways = {"left": -_SWING_DEG, "right": _SWING_DEG}
        return frozenset(action - ways.keys()).union(*(self._swing(ways[key]) for key in action & ways.keys()))

    def _swing(self, degrees: float) -> Action:
        """The bin that turns right by so many degrees."""
        assert self.space.look is not None
        counts = degrees / self.space.look.degrees_per_count
        return self.space.turned(np.array([[counts, 0.0]]))[0]

    def _around(self, state: ArenaState, aim: Point) -> Action:
        """A step to the side where an object stands in the way."""
        pose = state.pose
        for other in state.layout.distractors:
            if other.at == aim:
                continue
            distance, error = pose.distance(other.at), pose.bearing(other.at)
            ahead = abs(error) < 80 and distance < 150
            aside = distance * abs(math.sin(math.radians(error)))
            if ahead and aside < 44 and distance < pose.distance(aim):
                return frozenset("d" if error > 0 else "a")
        return NO_KEYS

    def _door(self, state: ArenaState) -> Action | None:
        """Enter, pressed again and again until the door moves and then held until it is open; None out of its reach.

        Nobody can say from one picture in which of the next slots a key is down for a single decision, nor tell waiting
        from being done.
        """
        door, pose = state.layout.door, state.pose
        assert door is not None
        if state.door_gap > 0:
            return frozenset(("enter",))
        if door.facing_deg(pose.angle_deg) < 60 and _use_hits(door, pose):
            self._at_door += 1
            return frozenset(("enter",)) if (self._at_door - 1) % _USE_EVERY < _USE_HELD else NO_KEYS
        return None


def _sent(before: Pose, pose: Pose) -> bool:
    """Whether a player moved or turned farther in one decision than keys do."""
    turned = abs((pose.angle_deg - before.angle_deg + 180) % 360 - 180)
    return turned > 40 or pose.distance((before.x, before.y)) > 45


def _beyond(stairs: Feature) -> Point:
    """Where one who climbs walks to: behind the last step."""
    return stairs.front(-(STEPS + 3) * CELL)


def _use_hits(door: Feature, pose: Pose) -> bool:
    """Whether "use" reaches the door: the line of sight meets it, not the wall beside it, and within range."""
    away = (pose.x - door.center[0]) * door.inward[0] + (pose.y - door.center[1]) * door.inward[1]
    look = math.cos(math.radians(pose.angle_deg)), math.sin(math.radians(pose.angle_deg))
    length = away / max(0.1, -(look[0] * door.inward[0] + look[1] * door.inward[1]))
    hit = pose.x + look[0] * length, pose.y + look[1] * length
    return length <= _USE_RANGE and math.dist(hit, door.center) < door.cells * CELL / 2 - 8


assert set().union(*_DETOURS) <= set(KEYBOARD_12.pressable)
