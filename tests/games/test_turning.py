"""How far the view turns for a count: measured in a made-up view, and by `protege game new` in a window of our own."""

import threading

import cv2
import numpy as np
import pytest
from PIL import Image

from protege.core import Frame
from protege.devices.x11_mouse import XMouseHook
from protege.errors import ProtegeError
from protege.games.profile import Mouse, load_game
from protege.games.turning import Turn, measure_turn
from tests.devices.hands import GameWindow
from tests.fakes import FakeClock, FakeWindow

WIDTH, HEIGHT = 320, 240
TITLE = "Turning Game"


def panorama(width):
    """A picture of a whole turn, without a seam."""
    rng = np.random.default_rng(0)
    grey = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, width)).astype(np.float32), (0, 0), 4)
    grey = cv2.normalize(grey, grey, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.dstack([grey] * 3)


class View:
    """A view that the mouse turns; a whole turn is `counts`."""

    def __init__(self, counts, widths=6):
        self.picture = panorama(widths * WIDTH)
        self.counts = counts
        self.moved = 0

    def move(self, right, down):
        self.moved += right

    def grab(self):
        at = round(self.moved / self.counts * self.picture.shape[1]) if self.counts else 0
        return Frame(np.ascontiguousarray(np.roll(self.picture, -at, axis=1)[:, :WIDTH]), 0)


@pytest.mark.parametrize("counts", [350, 5400, 40_000])
def test_a_whole_turn_is_measured_and_turned_back(counts):
    view = View(counts)
    turn = measure_turn(FakeWindow(), view.move, view.grab, FakeClock())
    assert turn is not None
    assert turn.whole
    assert turn.counts == pytest.approx(counts, rel=0.01)
    assert view.moved == 0


def test_a_picture_that_does_not_follow_is_no_turn():
    view = View(None)
    assert measure_turn(FakeWindow(), view.move, view.grab, FakeClock()) is None
    assert view.moved == 0


def test_where_the_first_picture_does_not_come_back_it_is_estimated():
    view = View(5400, widths=15)  # wider than any field of view makes it
    turn = measure_turn(FakeWindow(), view.move, view.grab, FakeClock())
    assert turn is not None
    assert not turn.whole
    assert isinstance(turn, Turn)


def test_nothing_is_moved_once_another_window_has_the_focus():
    view, window = View(5400), FakeWindow()

    def grab():
        window.focused = view.moved < 500
        return view.grab()

    with pytest.raises(ProtegeError, match="lost the focus"):
        measure_turn(window, view.move, grab, FakeClock())


class Turning:
    """A window that shows a `View`, turned by the raw motion of the mouse."""

    def __init__(self, view):
        self.window = GameWindow(TITLE)
        self._view = view
        self._end = threading.Event()
        self._hook = XMouseHook(lambda event: None, motion=True)
        self._hook.start()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self):
        context = self.window.window.create_gc()
        while not self._end.wait(0.02):
            for motion in self._hook.motion():
                self._view.move(motion.dx, motion.dy)
            self.window.window.put_pil_image(context, 0, 0, Image.fromarray(self._view.grab().rgb))
            self.window.display.sync()

    def close(self):
        self._end.set()
        self._thread.join()
        self._hook.stop()
        self.window.close()


@pytest.mark.parametrize(
    ("counts", "said"), [(1000, "the picture followed the mouse"), (None, "did not follow the mouse")]
)
def test_the_guided_command_measures_the_mouse(xvfb, run_protege, tmp_path, counts, said):
    game = Turning(View(counts, widths=3))
    try:
        options = ("--window", TITLE, "--keys", "j", "--mouse", "look left", "--action", "mouse_left=fire", "--yes")
        done = run_protege("game", "new", "turning", *options)
    finally:
        game.close()
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    profile = load_game(str(tmp_path / "games" / "turning.yaml")).profile
    assert profile.mouse is not None
    assert (profile.mouse.look, profile.mouse.buttons) == (True, ("left",))
    if counts:
        assert profile.mouse.counts_per_turn == pytest.approx(counts, rel=0.02)
    else:
        assert profile.mouse == Mouse(True, ("left",))
    assert "turns the view" in done.stdout


def test_a_word_that_is_none_of_the_mouse_is_refused(xvfb, run_protege):
    done = run_protege("game", "new", "x", "--window", "x", "--keys", "j", "--mouse", "lok")
    assert done.returncode == 2
    assert "'lok' is none of look, left" in done.stderr
