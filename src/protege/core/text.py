"""Text from outside (window titles, goals, server messages, file names) on its way to a terminal."""

import re
import unicodedata
from typing import Final

_KEPT: Final = "\n\t"
_STEERING: Final = ("Cc", "Cf", "Cs")


def printable(text: str, most: int | None = None) -> str:
    """`text` without anything that could steer a terminal or fail to encode; at most `most` characters.

    Control and format characters (escape sequences, carriage returns, bidirectional overrides) and lone surrogates
    become the replacement character; line feeds and tabs stay.
    """
    safe = "".join(c if c in _KEPT or unicodedata.category(c) not in _STEERING else "\ufffd" for c in text)
    return safe if most is None or len(safe) <= most else safe[: most - 1] + "…"


def one_line(text: str, most: int | None = None) -> str:
    """`printable`, with every run of white space as one space."""
    return printable(" ".join(text.split()), most)


_LOGIN: Final = re.compile(r"(?<=://)([^/?#\s@]*:)?[^/?#\s]*@")
_QUERY: Final = re.compile(r"(://[^\s?#]*\?)[^\s#\"'<>)]*")


def masked(text: str, *secrets: str) -> str:
    """`text` without these secrets, and without the logins and queries of URLs, which often hold others."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _QUERY.sub(r"\1***", _LOGIN.sub("***@", text))
