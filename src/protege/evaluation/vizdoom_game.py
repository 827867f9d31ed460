"""ViZDoom's public scenarios: their buttons, their tasks in words, and how one is started."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protege.arena.engine import begin
from protege.errors import MissingExtra

if TYPE_CHECKING:
    from vizdoom import DoomGame, GameVariable

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


def start(
    scenario: str, folder: Path, seed: int, labels: bool = False, variables: "Sequence[GameVariable]" = ()
) -> "DoomGame":
    """The scenario as it is published, without a window; what the engine writes lies in `folder`.

    labels: name the objects in sight; variables: of the game, beside the scenario's own.
    """
    try:
        import vizdoom
    except ImportError:
        raise MissingExtra("vizdoom", "arena") from None
    game = vizdoom.DoomGame()
    game.load_config(str(Path(vizdoom.scenarios_path) / f"{scenario}.cfg"))
    game.set_doom_config_path(str(folder / "engine.ini"))
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_labels_buffer_enabled(labels)
    for variable in variables:
        game.add_available_game_variable(variable)
    game.set_seed(seed)
    begin(game)
    return game
