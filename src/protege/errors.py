"""The errors a user can cause or meet; `cli` prints them as one line, without a traceback."""


class ProtegeError(Exception):
    """Something outside the program went wrong (disk, display, window); exit code 1."""

    exit_code = 1


class UserError(ProtegeError):
    """A mistake in what was asked or given; the message says what was found, what was expected, what to do."""

    exit_code = 2


class MissingExtra(UserError):
    """A command needs a library that is installed with one of the extras."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; install it with: pip install 'protege[{extra}]'")
