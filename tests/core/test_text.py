"""Text from outside cannot steer a terminal."""

from protege.core.text import one_line, printable


def test_escape_sequences_bidi_overrides_and_surrogates_are_replaced():
    shown = printable("a\x1b]0;owned\x07\r\u202eb\ud800\x9b31mc")
    assert not set(shown) & set("\x1b\x07\r\u202e\ud800\x9b")
    assert shown.startswith("a�]0;owned")
    shown.encode()


def test_letters_of_every_language_stay_and_long_text_is_cut():
    assert printable("Иди к фонарю 灯\n") == "Иди к фонарю 灯\n"
    assert one_line("a\n  b\tc", most=4) == "a b…"
