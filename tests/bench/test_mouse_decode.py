"""bench/mouse_decode in small: its figures are there, and decoding in every way gives the same chunks."""

from transformers import AutoTokenizer

from bench import mouse_decode


def test_chunks_with_a_mouse_are_the_same_in_every_way_of_decoding(tiny):
    figures = {f.key: f.value for f in mouse_decode.measure(tiny, chunks=4)}
    assert figures["identical_chunks"] == figures["chunks"] == 4
    assert figures["passes_constrained"] > 30
    assert figures["passes_draft"] <= figures["passes_no_draft"] <= 21


def test_nothing_about_the_twelve_keys_has_changed():
    assert mouse_decode.default_space_unchanged().value


def test_each_letter_of_the_mouse_is_one_token(tiny):
    rows = mouse_decode.spelling_table(AutoTokenizer.from_pretrained(tiny), answers=20)
    assert rows[0][1:] == (38.0, 3.0, 0)
    assert all(row[2] > 3 for row in rows[2:])
