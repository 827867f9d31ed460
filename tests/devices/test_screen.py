"""The whole picture: screens that change their size, windows half outside, servers that mss's default cannot read."""

import os
from contextlib import contextmanager

import numpy as np
import pytest

from protege.core import Rect
from protege.devices.screen import MssScreen, clip
from protege.devices.x11 import open_display
from protege.errors import UserError
from tests.devices.hands import GameWindow
from tests.devices.servers import wait_for, x_server

RED, GREEN, BLUE, BLACK = "RGBK"
VNC = ("-geometry", "800x600", "-SecurityTypes", "None")


def colours(rgb, row):
    """What 16 places along a row show, as letters."""
    height, width = rgb.shape[:2]
    found = rgb[round(height * row), (np.arange(16) * width + width // 2) // 16].astype(int)
    return "".join("RGB"[int(pixel.argmax())] if pixel.max() > 128 else BLACK for pixel in found)


@contextmanager
def shown_on(monkeypatch, program, package, *arguments, rect=(40, 40, 320, 240), screen="800x600x24"):
    """A server of its own with a game's window; yields its name and the window."""
    with x_server(program, package, *arguments, screen=screen) as (_, name):
        monkeypatch.setenv("DISPLAY", name)
        game = GameWindow("Shown", rect, name)
        try:
            yield name, game
        finally:
            game.close()


def grabbed(screen, game):
    game.paint()
    return screen.grab().rgb


def test_what_is_outside_the_screen_is_black_and_the_scale_stays(monkeypatch):
    with shown_on(monkeypatch, "Xvfb", "xvfb", rect=(-160, 440, 320, 240)) as (_, game):
        screen = MssScreen(Rect(-160, 440, 320, 240))
        rgb = grabbed(screen, game)
        assert rgb.shape == (240, 320, 3)
        assert colours(rgb, 0.25) == BLACK * 8 + GREEN * 8
        assert colours(rgb, 0.6) == BLACK * 8 + BLUE * 8
        assert colours(rgb, 0.9) == BLACK * 16
        assert screen.outside == pytest.approx(1 - (160 * 160) / (320 * 240))
        screen.rect = Rect(2000, 2000, 32, 16)
        assert not screen.grab().rgb.any()
        assert screen.outside == 1.0
        screen.rect = Rect(0, 0, 100, 100)
        screen.grab()
        assert screen.outside == 0.0
        screen.close()


def test_a_region_says_how_much_of_it_is_on_the_screen(monkeypatch):
    with shown_on(monkeypatch, "Xvfb", "xvfb"):
        screen = MssScreen()
        assert screen.require_visible(Rect(600, 0, 400, 300)) == 0.5
        with pytest.raises(UserError, match=r"--region 900,0,400,300: not on the screen, which is 0,0,800,600"):
            screen.require_visible(Rect(900, 0, 400, 300))
        screen.close()
    assert clip(Rect(0, 0, 10, 10), Rect(10, 0, 10, 10)) is None


@pytest.mark.parametrize("sizes", [("800x600", "1024x768", "640x480"), ("1024x768", "640x480", "1280x720")])
def test_a_screen_that_changes_its_size_changes_nothing_in_the_picture(monkeypatch, sizes):
    with shown_on(monkeypatch, "Xvnc", "tigervnc-standalone-server", *VNC) as (_, game):
        screen = MssScreen(Rect(40, 40, 320, 240))
        before = grabbed(screen, game)
        assert colours(before, 0.25) == RED * 4 + GREEN * 12
        for size in sizes:
            change_size(size)
            assert np.array_equal(grabbed(screen, game), before)
            assert screen.outside == 0.0
        screen.close()


def test_a_screen_that_grows_can_be_grabbed_whole(monkeypatch):
    with shown_on(monkeypatch, "Xvnc", "tigervnc-standalone-server", *VNC):
        screen = MssScreen(Rect(0, 0, 1024, 768))
        screen.grab()
        assert screen.outside == pytest.approx(1 - (800 * 600) / (1024 * 768))
        change_size("1024x768")
        assert screen.grab().rgb.shape == (768, 1024, 3)
        assert screen.outside == 0.0
        screen.close()


def test_a_nested_screen_that_is_resized_is_followed(monkeypatch):
    with x_server("Xvfb", "xvfb", screen="1400x900x24") as (_, outer):
        monkeypatch.setenv("DISPLAY", outer)
        with x_server("Xephyr", "xserver-xephyr", "-resizeable", "-screen", "800x600") as (_, inner):
            monkeypatch.setenv("DISPLAY", inner)
            game = GameWindow("Nested", (0, 0, 640, 480), inner)
            screen = MssScreen(Rect(0, 0, 640, 480))
            assert colours(grabbed(screen, game), 0.25) == RED * 4 + GREEN * 12
            for size in ("400x300", "1000x700"):
                resize_only_window(outer, *map(int, size.split("x")))
                wait_for(lambda size=size: screen_size() == size)
                rgb = grabbed(screen, game)
                width = int(size.split("x")[0])
                assert rgb.shape == (480, 640, 3)
                black = 16 - min(16, width * 16 // 640)
                assert colours(rgb, 0.25) == RED * 4 + GREEN * (12 - black) + BLACK * black
            screen.close()
            game.close()


def change_size(wanted):
    """What xrandr -s does."""
    display = open_display()
    root = display.screen().root
    told = root.xrandr_get_screen_info()
    names = [f"{size['width_in_pixels']}x{size['height_in_pixels']}" for size in told.sizes]
    root.xrandr_set_screen_config(names.index(wanted), 1, told.config_timestamp)
    display.close()
    assert screen_size() == wanted


def screen_size():
    display = open_display()
    size = display.screen().root.get_geometry()
    display.close()
    return f"{size.width}x{size.height}"


def resize_only_window(name, width, height):
    """What pulling at the corner of the nested server's window does."""
    from Xlib import display

    outer = display.Display(name)
    (window,) = outer.screen().root.query_tree().children
    window.configure(width=width, height=height)
    outer.sync()
    outer.close()


def test_a_server_whose_pictures_mss_does_not_expect_is_read_by_plain_x11(monkeypatch):
    with shown_on(monkeypatch, "Xvnc", "tigervnc-standalone-server", *VNC) as (_, game):
        screen = MssScreen(Rect(40, 40, 320, 240))
        assert colours(grabbed(screen, game), 0.6) == RED * 4 + BLUE * 12
        screen.close()


def test_the_advice_fits_the_cause(monkeypatch):
    with x_server("Xvnc", "tigervnc-standalone-server", "-depth", "16", *VNC) as (_, name):
        monkeypatch.setenv("DISPLAY", name)
        with pytest.raises(UserError, match="not 16; give the display a colour depth of 24"):
            MssScreen()
    monkeypatch.setitem(os.environ, "DISPLAY", ":54321")
    with pytest.raises(UserError, match="run inside a graphical session"):
        MssScreen()
