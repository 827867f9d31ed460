"""The built-in game with a mouse, as its profile describes it."""

import pytest

pytest.importorskip("vizdoom")

from protege.arena.engine import ARENA_MOUSE
from protege.games.profile import load_game


def test_the_profile_describes_what_the_arena_plays_with():
    space = load_game("arena-mouse").space
    assert space == ARENA_MOUSE
    assert space.look == ARENA_MOUSE.look
