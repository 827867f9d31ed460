"""games/NAME.yaml: what it means, and the one line that a mistake in it ends in."""

from dataclasses import replace

import pytest

from protege.core import KEYBOARD_12, ActionSpace
from protege.core.looking import look
from protege.errors import UserError
from protege.games.profile import Mouse, Profile, known_games, load_game
from protege.games.writing import write_profile


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write games/NAME.yaml in an empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "games").mkdir()

    def written(text, name="mine"):
        path = tmp_path / "games" / f"{name}.yaml"
        path.write_text(text)
        return path

    return written


def test_the_default_profile_is_the_twelve_keys_and_nothing_else():
    game = load_game("default")
    assert game.space == KEYBOARD_12
    assert game.space.to_json() == KEYBOARD_12.to_json()
    assert (game.never, game.profile.window, game.profile.fps, game.profile.size) == (frozenset(), None, 10, (640, 480))


def test_the_arena_has_the_twelve_keys_so_its_models_play_with_and_without_it():
    game = load_game("arena")
    assert game.space == KEYBOARD_12
    assert game.space.told("space") == "space (jump)"


def test_every_shipped_profile_is_sound_and_fits_on_a_screen():
    names = set(known_games())
    shipped = {"default", "arena", "arena-mouse", "chocolate-doom", "chocolate-doom-mouse"}
    assert shipped <= names
    for name in shipped:
        game = load_game(name)
        lines = game.path.read_text().splitlines()
        assert len(lines) <= 50
        assert any(line.startswith("#") for line in lines)


def test_the_keys_of_doom_make_a_space_that_says_what_they_do():
    space = load_game("chocolate-doom").space
    assert space.name == "chocolate-doom"
    assert {"ctrl", "shift", "space", "1", "7"} <= set(space.pressable)
    assert space.camera == {"left", "right"}
    assert space.movement == {"w", "s", "a", "d", "up", "down"}
    assert space.told("ctrl") == "ctrl (fire)"
    assert ActionSpace.from_json(space.to_json()).meanings == space.meanings


def test_a_profile_of_the_user_hides_the_shipped_one_of_its_name(write):
    write("keys: [j, k]\n", "arena")
    assert load_game("arena").space.pressable == ("j", "k")


def test_a_profile_may_be_given_as_a_file(write):
    path = write("keys: [j, k]\n")
    assert load_game(str(path)).name == "mine"
    assert load_game("games/mine.yaml").space == load_game("mine").space


def test_keys_may_be_called_as_people_call_them(write):
    write("keys: [A, Control, 1]\nnever: [Escape]\nactions: {control: fire, 1: fist}\n")
    game = load_game("mine")
    assert game.space.pressable == ("a", "ctrl", "1")
    assert game.never == {"esc"}
    assert game.space.meanings == {"ctrl": "fire", "1": "fist"}


def test_what_a_key_does_says_whether_it_turns_the_view(write):
    write("keys: [q, e, left, right]\nactions: {q: Turn left, e: turn right, left: move left, right: use}\n")
    space = load_game("mine").space
    assert (space.camera, space.movement) == ({"q", "e"}, {"left"})


@pytest.mark.parametrize("keys", ["[j]", "[j, k]", "[space, left]"])
def test_a_space_may_be_small_and_without_w(write, keys):
    write(f"keys: {keys}\n")
    assert len(load_game("mine").space.pressable) == keys.count(",") + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keyz: [w]\n", "unknown key keyz; did you mean keys?"),
        ("keys: []\n", "keys is empty"),
        ("window: x\n", "keys is empty"),
        ("keys: w\n", "keys is a list"),
        ("keys: [w, shiftt]\n", "did you mean shift?"),
        ("keys: [w, W]\n", "w is listed twice"),
        ("keys: [esc, Escape]\n", "esc is listed twice"),
        ("keys: [w, esc]\nnever: [escape]\n", "esc is in keys and in never"),
        ("keys: [w]\nnever: [f13]\n", "never: no key is called 'f13'"),
        ("keys: [w, ctrl]\nactions: {ctr: fire}\n", "did you mean ctrl?"),
        ("keys: [w, ctrl]\nactions: {shift: run}\n", "actions: shift is not in keys"),
        ("keys: [w, ctrl]\nactions: {ctrl: fire, control: fire}\n", "names a key twice"),
        ("keys: [w]\nactions: {w: ''}\n", "actions.w: '' is not an action"),
        ("keys: [w]\nactions: [w]\n", "actions is a group"),
        ("keys: [w]\nwindow: /(/\n", "is not a pattern"),
        ("keys: [w]\nwindow: ''\n", "is not a title"),
        ("keys: [w]\nfps: 0\n", "fps is 0"),
        ("keys: [w]\nfps: fast\n", "fps is a finite number"),
        ("keys: [w]\nsize: [640]\n", "size is a list"),
        ("keys: [w]\nsize: [4, 480]\n", "sides of 16 to 7680"),
        ('keys: [w]\ngoals: ["a\\nb"]\n', "goals[0]"),
        ("keys: [w]\nmouse: {buttons: [lft]}\n", "mouse.buttons: no button is called 'lft'"),
        ("keys: [w]\nmouse: {loook: true}\n", "did you mean mouse.look?"),
        ("keys: [w]\nmouse: {counts_per_turn: 0}\n", "counts_per_turn is 0"),
        ("keys: [w, mouse_left]\n", "mouse_left is no key; name it under mouse"),
        ("keys: [w]\nmouse: {buttons: [left]}\nnever: [mouse_left]\n", "mouse_left is in keys and in never"),
        ("keys: [w]\nmouse: {look: true}\nactions: {mouse_left: fire}\n", "actions: mouse_left is not in mouse"),
        ("keys: [w]\nmouse: {buttons: [left]}\nactions: {mouse_lft: fire}\n", "did you mean mouse_left?"),
        ("- w\n", "not a configuration"),
        ("keys: [w\n", "not"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file_and_what_to_do(write, text, said):
    path = write(text)
    with pytest.raises(UserError) as error:
        load_game("mine")
    assert str(path) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_too_many_keys_are_refused(write):
    from protege.devices.places import NAMES

    names = [f'"{name}"' if name != "'" else '"\'"' for name in sorted(NAMES) if name not in ("\\",)]
    write(f"keys: [{', '.join(names)}]\n")
    with pytest.raises(UserError, match="at most 63"):
        load_game("mine")


def test_an_unknown_game_names_the_nearest(write):
    with pytest.raises(UserError, match="did you mean chocolate-doom"):
        load_game("chocolat-doom")
    with pytest.raises(UserError, match="no such file"):
        load_game("games/none.yaml")


def test_a_mouse_adds_its_buttons_and_its_look_to_the_space(write):
    write(
        "keys: [w, shift]\nmouse: {look: true, buttons: [right, left], wheel: true, counts_per_turn: 2700}\n"
        "actions: {mouse_left: fire, wheel_up: take the next weapon}\nnever: [mouse_middle]\n"
    )
    game = load_game("mine")
    assert game.space.keys == ("w", "shift", "mouse_right", "mouse_left", "wheel_up", "wheel_down", "none")
    assert game.space.look == look(2700)
    assert (game.space.movement, game.space.camera) == ({"w"}, set())
    assert game.space.told("mouse_left") == "mouse_left (fire)"
    assert game.never == {"mouse_middle"}
    assert ActionSpace.from_json(game.space.to_json()) == game.space


def test_the_twelve_keys_with_a_mouse_are_another_space(write):
    keys = ", ".join(KEYBOARD_12.pressable)
    write(f"keys: [{keys}]\nmouse: {{look: true}}\n")
    space = load_game("mine").space
    assert (space.name, space.pressable, space.look) == ("mine", KEYBOARD_12.pressable, look())
    write(f"keys: [{keys}]\nmouse: {{look: false, buttons: [left]}}\n")
    assert load_game("mine").space.pressable == (*KEYBOARD_12.pressable, "mouse_left")
    write(f"keys: [{keys}]\nmouse: {{look: false}}\n")
    assert load_game("mine").space == KEYBOARD_12


def test_a_profile_with_a_mouse_is_written_as_it_is_read(write, tmp_path):
    mouse = Mouse(buttons=("left",), counts_per_turn=5400, wheel=True)
    profile = Profile("Game", ("w", "1"), mouse, {"mouse_left": "fire"}, ("mouse_right",))
    path = tmp_path / "games" / "mine.yaml"
    assert write_profile(path, profile) == profile
    assert load_game("mine").profile == profile


def test_what_was_made_for_other_keys_is_refused_with_the_difference(write):
    write("keys: [w, ctrl]\n")
    with pytest.raises(UserError, match=r"only the model m has: .*enter.*; only the game mine has: ctrl"):
        load_game("mine").require_keys_of(KEYBOARD_12, "the model m")


def test_what_was_made_for_another_mouse_is_refused_with_both(write):
    write("keys: [w]\nmouse: {counts_per_turn: 2700}\n")
    game = load_game("mine")
    game.require_keys_of(game.space, "the model m")
    with pytest.raises(UserError, match=r"the model m looks .*counts_per_turn: 5400.* mine looks .*2700"):
        game.require_keys_of(replace(game.space, look=look(5400)), "the model m")
    with pytest.raises(UserError, match="the model m does not look with the mouse, the game mine looks"):
        game.require_keys_of(replace(game.space, look=None), "the model m")
