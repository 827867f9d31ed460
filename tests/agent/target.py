"""What the agent plays in tests: a window, and the hands of a person beside it."""

TITLE = "Protege Target"


class Target:
    """A window of our own with the keyboard, and hands on an XTest keyboard that is not the agent's."""

    def __init__(self):
        from Xlib import X, display

        self.display = display.Display()
        screen = self.display.screen()
        self.windows = [
            screen.root.create_window(100 + 400 * n, 100, 320, 240, 0, screen.root_depth, X.InputOutput)
            for n in range(2)
        ]
        for window, title in zip(self.windows, (TITLE, "Elsewhere"), strict=True):
            window.set_wm_name(title)
            window.map()
        self.focus(0)

    def focus(self, number):
        from Xlib import X

        self.windows[number].set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        self.display.sync()

    def type(self, key, *downs):
        """A person presses (True) or releases (False) a key, by its X name."""
        from Xlib import XK, X
        from Xlib.ext import xtest

        code = self.display.keysym_to_keycode(XK.string_to_keysym(key))
        for down in downs or (True, False):
            xtest.fake_input(self.display, X.KeyPress if down else X.KeyRelease, code)
            self.display.sync()

    def paint(self):
        """The game's picture changes."""
        gc = self.windows[0].create_gc(foreground=self.display.screen().white_pixel)
        self.windows[0].fill_rectangle(gc, 0, 0, 320, 240)
        self.display.sync()

    def close(self):
        for window in self.windows:
            window.destroy()
        self.display.close()
