"""ViZDoom with our maps: loads a layout, advances it tic by tic, hands out pictures and the player's true state."""

import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.arena.leash import EngineLeash
from protege.arena.maps import POSTERS_TEXTURE, decorate, layout_textmap, posters_png
from protege.arena.rooms import Layout, Pose
from protege.arena.state import ArenaState
from protege.arena.udmf import map_lumps, write_wad
from protege.core.actions import KEYBOARD_12, NONE, Action, ActionSpace
from protege.core.looking import look
from protege.errors import MissingExtra, UserError

if TYPE_CHECKING:
    from vizdoom import DoomGame

BUTTONS: Final = {
    "w": "MOVE_FORWARD",
    "s": "MOVE_BACKWARD",
    "a": "MOVE_LEFT",
    "d": "MOVE_RIGHT",
    "up": "LOOK_UP",
    "down": "LOOK_DOWN",
    "left": "TURN_LEFT",
    "right": "TURN_RIGHT",
    "c": "CROUCH",
    "space": "JUMP",
    "enter": "USE",
}
"""The engine's button of every key, in the order of KEYBOARD_12."""
TURNING: Final = ("TURN_LEFT_RIGHT_DELTA", "LOOK_UP_DOWN_DELTA")
"""The engine's buttons of the mouse: degrees right, and up, in one tic."""
TURN_UNITS: Final = 65_536
"""The engine's angles are whole numbers of so many a turn."""

ARENA_MOUSE: Final = ActionSpace(
    "arena-mouse", (*"wsad", "c", "space", "enter", NONE), movement=frozenset("wsad"), look=look()
)
"""What the game's profile says: looking with the mouse instead of the arrows."""

SIZES: Final = ((160, 120), (320, 240), (640, 480), (800, 600), (1280, 720), (1920, 1080))
# The map's lump is rewritten in place for every episode, which takes 1 ms where a new engine takes 200; it is padded
# with spaces to a fixed size, since the engine keeps the file open and remembers where its lumps are.
_TEXTMAP_BYTES: Final = 65_536
_DEAD_TICS: Final = 10


def drawn_size(size: tuple[int, int]) -> tuple[int, int]:
    """The smallest (width, height) the engine draws that holds another one; who asked shrinks the picture."""
    return next((s for s in SIZES if s[0] >= size[0] and s[1] >= size[1]), SIZES[-1])


def _vizdoom() -> ModuleType:
    try:
        import vizdoom
    except ImportError as error:
        raise MissingExtra("vizdoom", "arena") from error
    return vizdoom


def _end(game: "DoomGame", leash: EngineLeash) -> None:
    game.close()
    leash.let_go()


def begin(game: "DoomGame") -> None:
    """Start an engine, without the folder that it makes where it is started and leaves empty.

    The folder is made before: an engine ends where another one makes it between its look and its own attempt.
    """
    litter = Path.cwd() / "_vizdoom"
    ours = not litter.exists()
    with suppress(OSError):
        litter.mkdir(exist_ok=True)
    game.init()
    if ours:
        with suppress(OSError):
            litter.rmdir()


class Engine:
    """One Doom engine process. Headless it waits for `step`; with `window=True` a person plays it in real time."""

    def __init__(
        self, size: tuple[int, int] = (320, 240), window: bool = False, space: ActionSpace = KEYBOARD_12
    ) -> None:
        """space: the keys that are played with, and the mouse where it has one."""
        if size not in SIZES:
            sizes = ", ".join(f"{w}x{h}" for w, h in SIZES)
            raise UserError(f"the arena cannot draw {size[0]}x{size[1]}; its sizes are {sizes}")
        self.size = size
        self.window = window
        self.space = space
        if unknown := [key for key in space.pressable if key not in BUTTONS]:
            raise UserError(f"action space {space.name}: the arena has no use for {', '.join(unknown)}")
        self._rest = (0.0, 0.0)
        self.moved: list[tuple[int, int]] = []
        """Counts right and down of each tic of the last step, in a space with a mouse."""
        self._layout: Layout | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="protege-arena-"))
        self._remove_folder = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._wad = self._folder / "arena.wad"
        lumps = [("DECORATE", decorate()), ("TX_START", b""), (POSTERS_TEXTURE, posters_png()), ("TX_END", b"")]
        lumps += map_lumps("MAP01", b" " * _TEXTMAP_BYTES)
        self._textmap_at = write_wad(self._wad, lumps)[-2]
        self._game: DoomGame | None = None
        self._leash: EngineLeash | None = None
        self._end: Callable[[], object] | None = None

    def load(self, layout: Layout) -> ArenaState:
        """Starts the episode of a layout; equal layouts and steps give equal pictures."""
        text = layout_textmap(layout)
        assert len(text) <= _TEXTMAP_BYTES, f"the map of seed {layout.seed} needs {len(text)} bytes"
        with self._wad.open("r+b") as file:
            file.seek(self._textmap_at)
            file.write(text.ljust(_TEXTMAP_BYTES))
        self._layout = layout
        self._rest, self.moved = (0.0, 0.0), []
        if self._game is None:
            self._game = self._start(layout.seed)
            self._leash = EngineLeash(self._folder)
            # Before the folder goes, and also where Python ends without destructors, as a worker process does.
            self._end = weakref.finalize(self, _end, self._game, self._leash)
        self.game.set_seed(layout.seed)
        self.game.new_episode()
        return self.state()

    def _start(self, seed: int) -> "DoomGame":
        vzd = _vizdoom()
        game = vzd.DoomGame()
        game.set_doom_scenario_path(str(self._wad))
        game.set_doom_map("map01")
        # Without this the engine writes _vizdoom.ini into the working folder.
        game.set_doom_config_path(str(self._folder / "engine.ini"))
        game.set_screen_resolution(getattr(vzd.ScreenResolution, f"RES_{self.size[0]}X{self.size[1]}"))
        game.set_screen_format(vzd.ScreenFormat.RGB24)
        game.set_render_hud(False)
        game.set_render_weapon(False)
        game.set_render_crosshair(False)
        game.set_sound_enabled(False)
        game.set_console_enabled(False)
        game.set_window_visible(self.window)
        game.set_mode(vzd.Mode.ASYNC_SPECTATOR if self.window else vzd.Mode.PLAYER)
        buttons = [BUTTONS[key] for key in self.space.pressable] + list(TURNING if self.space.look else ())
        game.set_available_buttons([getattr(vzd.Button, button) for button in buttons])
        variables = ("POSITION_X", "POSITION_Y", "POSITION_Z", "ANGLE", "PITCH")
        game.set_available_game_variables([getattr(vzd.GameVariable, name) for name in variables])
        game.set_sectors_info_enabled(True)
        game.set_episode_timeout(0)
        # Doom ignores the keys of the first tics of a map; they are skipped, so that every decision counts.
        game.set_episode_start_time(_DEAD_TICS)
        game.set_seed(seed)
        if self.window:
            game.add_game_args(f"+freelook 1 {self._mouse_settings()}")
        begin(game)
        return game

    def _mouse_settings(self) -> str:
        """The engine's own, so that so many counts as the space says are a whole turn, in both directions."""
        if self.space.look is None:
            return "+use_mouse 0"
        # It turns by 8 units a count, and up and down by 16, times these.
        speed = TURN_UNITS / self.space.look.counts_per_turn / 8
        plain = "+m_noprescale 1 +m_filter 0 +smooth_mouse 0 +invertmouse 0"
        return f"+use_mouse 1 {plain} +mouse_sensitivity {speed:.6f} +m_yaw 1 +m_pitch 0.5"

    @property
    def game(self) -> "DoomGame":
        """The engine itself, once a layout is loaded."""
        if self._game is None:
            raise RuntimeError("load a layout first")
        return self._game

    @property
    def pid(self) -> int | None:
        """The engine's process, where that can be known."""
        return None if self._leash is None else self._leash.pid

    def step(self, action: Action, tics: int) -> ArenaState:
        """Holds these keys for some tics of 1/35 s, over which it turns by the counts of the action's bins."""
        keys = [key in action for key in self.space.pressable]
        if self.space.look is None:
            self.game.make_action(keys, tics)
            return self.state()
        due = [more + rest for more, rest in zip(self.space.counts(action), self._rest, strict=True)]
        counts = int(due[0]), int(due[1])
        self._rest = due[0] - counts[0], due[1] - counts[1]
        ends = [(counts[0] * tic // tics, counts[1] * tic // tics) for tic in range(tics + 1)]
        self.moved = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(ends)]
        degrees = self.space.look.degrees_per_count
        for number, (right, down) in enumerate(self.moved, 1):
            self.game.set_action([*(float(held) for held in keys), right * degrees, -down * degrees])
            self.game.advance_action(1, number == tics)
        return self.state()

    def state(self) -> ArenaState:
        """The player's true state now."""
        found = self.game.get_state()
        assert found is not None, "the arena's episodes never end inside the engine"
        assert found.game_variables is not None
        assert self._layout is not None
        x, y, z, angle, pitch = (float(value) for value in found.game_variables)
        gap = 0.0
        if self._layout.door is not None:
            gap = float(found.sectors[0].ceiling_height - found.sectors[0].floor_height)
        entrance = 0.0
        if self._layout.entrance is not None:
            entrance = float(found.sectors[1].ceiling_height - found.sectors[1].floor_height)
        return ArenaState(self._layout, Pose(x, y, z, angle, pitch), gap, entrance)

    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, what the player sees now."""
        return np.array(self.game.get_state().screen_buffer, dtype=np.uint8)

    def close(self) -> None:
        """Ends the engine's process and removes its files."""
        if self._end is not None:
            self._end()
            self._game = self._leash = self._end = None
        self._remove_folder()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


assert tuple(BUTTONS) == KEYBOARD_12.pressable
