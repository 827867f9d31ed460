"""Values that JSON may hold, held against what is expected of them."""

import json
import math

import pytest

from protege.core.fields import brief, is_int, is_number, require
from protege.core.labeled import LabeledSegment
from protege.errors import UserError


@pytest.mark.parametrize(
    ("value", "int_", "number"),
    [(3, True, True), (10**400, True, True), (0.5, False, True), (True, False, False), (math.inf, False, False)],
)
def test_numbers_are_told_from_what_python_also_calls_so(value, int_, number):
    assert (is_int(value), is_number(value)) == (int_, number)


def test_the_first_value_that_is_not_good_is_named_in_short():
    require({"a": 1}, {"a": True})
    with pytest.raises(ValueError, match="b is 'x") as error:
        require({"a": 1, "b": "x" * 100}, {"a": True, "b": False})
    assert len(str(error.value)) < 80
    assert brief("\x1b") == r"'\x1b'"


def test_a_number_that_no_float_holds_is_a_mistake_in_words(tmp_path):
    folder = tmp_path / "s_seg000"
    folder.mkdir()
    fields = LabeledSegment("s_seg000", "s", 0, 1, "Go").to_json()
    (folder / "segment.json").write_text(json.dumps({**fields, "frame_hz": 10**400}))
    (folder / "frame_0000.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="frame_hz is 1000"):
        LabeledSegment.load(folder)
