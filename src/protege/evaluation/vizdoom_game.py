"""ViZDoom's public scenarios: their buttons, their tasks in words, and an engine that plays one."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from protege.arena.engine import begin
from protege.arena.leash import EngineLeash
from protege.core.actions import Action
from protege.errors import MissingExtra

if TYPE_CHECKING:
    from vizdoom import DoomGame

TICS: Final = 4
"""Engine tics of a decision: 8.75 decisions a second of game time."""

PRESSES: Final = {
    "MOVE_FORWARD": "w",
    "MOVE_BACKWARD": "s",
    "MOVE_LEFT": "a",
    "MOVE_RIGHT": "d",
    "TURN_LEFT": "left",
    "TURN_RIGHT": "right",
    "LOOK_UP": "up",
    "LOOK_DOWN": "down",
    "ATTACK": "space",
    "JUMP": "space",
    "USE": "enter",
    "SPEED": "c",
}
"""Our key for a scenario's button; a button without one is never pressed."""

GOALS: Final = {
    "basic": "Shoot the monster",
    "deadly_corridor": "Get the green armor",
    "defend_the_center": "Shoot the monsters",
    "defend_the_line": "Shoot the monsters",
    "health_gathering": "Collect the medikits",
    "my_way_home": "Find the green armor",
    "predict_position": "Hit the monster",
    "take_cover": "Dodge the fireballs",
}
"""What the policy is told; every scenario has a fixed task."""


SIZE: Final = (320, 240)
"""What the engine draws of a scenario, as published."""


class ScenarioGame:
    """A scenario as it is published, without a window, in an engine of its own."""

    def __init__(
        self, scenario: str, tics: int = TICS, size: tuple[int, int] = SIZE, truth: bool = False, seed: int = 0
    ) -> None:
        """tics: of a decision; size: (width, height) of a picture, one of `protege.arena.engine.SIZES`; truth: tell
        what stands where, for scripted players; seed: of the first episode, where `new` is not called.
        """
        try:
            import vizdoom
        except ImportError:
            raise MissingExtra("vizdoom", "arena") from None
        self.scenario, self.tics, self.size = scenario, tics, size
        self._folder = tempfile.TemporaryDirectory(prefix="protege-vizdoom-")
        game = vizdoom.DoomGame()
        game.load_config(str(Path(vizdoom.scenarios_path) / f"{scenario}.cfg"))
        game.set_doom_config_path(str(Path(self._folder.name) / "engine.ini"))
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        game.set_screen_resolution(getattr(vizdoom.ScreenResolution, f"RES_{size[0]}X{size[1]}"))
        game.set_mode(vizdoom.Mode.PLAYER)
        game.set_labels_buffer_enabled(truth)
        game.set_objects_info_enabled(truth)
        game.set_sectors_info_enabled(truth)
        game.set_seed(seed)
        begin(game)
        self.engine: DoomGame = game
        self._leash = EngineLeash(Path(self._folder.name))
        self._keys = [PRESSES.get(button.name) for button in game.get_available_buttons()]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that press the scenario's buttons."""
        return tuple(key for key in self._keys if key is not None)

    def new(self, seed: int) -> None:
        """Begin an episode."""
        self.engine.set_seed(seed)
        self.engine.new_episode()

    @property
    def over(self) -> bool:
        return self.engine.is_episode_finished()

    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3), while the episode is not over."""
        return np.array(self.engine.get_state().screen_buffer, dtype=np.uint8)

    def press(self, action: Action) -> None:
        """Hold keys for a decision; those without a button do nothing."""
        self.engine.make_action([key is not None and key in action for key in self._keys], self.tics)

    @property
    def reward(self) -> float:
        """Of the episode up to now."""
        return float(self.engine.get_total_reward())

    def close(self) -> None:
        self.engine.close()
        self._leash.let_go()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
