"""A game that has the focus but not the keyboard, or cannot be seen: another program grabbed it, or covers it."""

import pytest

from protege.agent.baselines import ConstantPolicy
from protege.core.events import Focus, Pause
from protege.devices.x11 import XWindow, open_display
from tests.agent.test_live import TITLE, Run, down
from tests.devices.hands import GameWindow, until


@pytest.fixture
def game(xvfb):
    made = GameWindow(TITLE, (100, 100, 320, 240))
    yield made
    made.close()


class Other:
    """Another program: grabs the keyboard, or puts a window over a place without asking for the focus."""

    def __init__(self):
        self.display = open_display()
        self.window = None

    def grab(self):
        from Xlib import X

        root = self.display.screen().root
        assert root.grab_keyboard(False, X.GrabModeAsync, X.GrabModeAsync, X.CurrentTime) == X.GrabSuccess

    def ungrab(self):
        from Xlib import X

        self.display.ungrab_keyboard(X.CurrentTime)
        self.display.sync()

    def cover(self, rect):
        screen = self.display.screen()
        self.window = screen.root.create_window(*rect, 0, screen.root_depth, override_redirect=True)
        self.window.map()
        self.display.sync()

    def uncover(self):
        assert self.window is not None
        self.window.destroy()
        self.display.sync()

    def close(self):
        self.display.close()


@pytest.fixture
def other(xvfb):
    made = Other()
    yield made
    made.close()


def test_a_grabbed_keyboard_is_known_although_the_focus_stays(game, other):
    window = XWindow(game.window.id, TITLE)
    assert window.state().focused
    other.grab()
    assert (window.state().focused, window.state().obstacle) == (False, "another program has grabbed the keyboard")
    other.ungrab()
    assert window.state().focused
    game.focus()  # while nobody grabs, then while somebody does
    other.grab()
    game.focus()
    assert not window.state().focused
    other.ungrab()
    assert window.state().focused
    window.close()


def test_a_game_that_grabs_its_own_keyboard_plays_on(game):
    from Xlib import X

    window = XWindow(game.window.id, TITLE)
    assert window.state().focused
    assert game.window.grab_keyboard(True, X.GrabModeAsync, X.GrabModeAsync, X.CurrentTime) == X.GrabSuccess
    assert window.state().focused
    game.display.ungrab_keyboard(X.CurrentTime)
    game.display.sync()
    assert window.state().focused
    window.close()


@pytest.mark.parametrize(
    ("rect", "covers"),
    [((90, 90, 400, 300), True), ((200, 160, 120, 120), True), ((100, 100, 60, 40), False), ((600, 100, 9, 9), False)],
)
def test_a_window_that_covers_the_game_is_known_also_one_that_was_there_before(game, other, rect, covers):
    early = XWindow(game.window.id, TITLE)
    assert early.state().focused
    other.cover(rect)
    late = XWindow(game.window.id, TITLE)
    for window in (early, late):
        assert window.state().focused is not covers
        assert window.state().obstacle == ("another window covers the game" if covers else "")
    other.uncover()
    for window in (early, late):
        assert window.state().focused
        window.close()


def test_nothing_is_typed_into_a_program_that_grabs_the_keyboard_and_playing_goes_on(game, other, tmp_path):
    run = Run(tmp_path, ConstantPolicy(), max_minutes=12 / 60)
    until(lambda: down() == {"w"})
    other.grab()
    until(lambda: not down())
    for _ in range(100):
        assert not down()
    other.ungrab()
    until(lambda: down() == {"w"})
    other.cover((0, 0, 800, 600))
    until(lambda: not down())
    other.uncover()
    until(lambda: down() == {"w"})
    run.join()
    assert run.error is None
    events = run.session().events
    assert [event.focus for event in events if isinstance(event, Focus)] == [False, True] * 2
    assert [event.pause for event in events if isinstance(event, Pause)] == ["focus", "focus", "stop"]
