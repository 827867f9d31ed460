"""A line of a terminal that is written over while something goes on."""

from typing import TextIO


class StatusLine:
    """live: whether `out` is a terminal; anywhere else every text is a line of its own."""

    def __init__(self, out: TextIO) -> None:
        self.live = out.isatty()
        self._out = out
        self._width = 0

    def show(self, text: str) -> None:
        """Put `text` in the line's place."""
        # Filled up with blanks, or the end of a longer text before it would stay.
        self._out.write("\r" + text.ljust(self._width) if self.live else text + "\n")
        self._width = len(text) if self.live else 0
        self._out.flush()

    def say(self, text: str) -> None:
        """A line that stays, above the one that is written over."""
        self._out.write(("\r" + " " * self._width + "\r" if self._width else "") + text + "\n")
        self._width = 0
        self._out.flush()

    def close(self) -> None:
        """What is printed next begins on a line of its own."""
        if self._width:
            self._out.write("\n")
            self._out.flush()
            self._width = 0
