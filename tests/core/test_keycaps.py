"""The keyboard below a picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from protege.core.actions import KEYBOARD_12, NONE, ActionSpace
from protege.core.keycaps import caps, with_keys
from protege.core.looking import BUTTONS, WHEEL, look
from protege.devices.places import NAMES

MOUSE = ActionSpace("mouse", ("w", "mouse_left", NONE), look=look())
BLANK = Image.new("RGB", (320, 240), "gray")


@given(st.lists(st.sampled_from(sorted({*NAMES, *BUTTONS, *WHEEL})), min_size=1, max_size=63, unique=True))
def test_no_two_keys_of_any_space_overlap(keys: list[str]) -> None:
    boxes, width, height = caps(ActionSpace("any", (*keys, NONE)))
    assert set(boxes) == set(keys)
    for key, (left, top, right, bottom) in boxes.items():
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        for other, (x0, y0, x1, y1) in boxes.items():
            assert other == key or right <= x0 or x1 <= left or bottom <= y0 or y1 <= top, (key, other)


def test_w_stands_above_s() -> None:
    boxes, _, _ = caps(KEYBOARD_12)
    assert boxes["w"][0] in range(boxes["s"][0] - 20, boxes["s"][0] + 20)
    assert boxes["w"][3] <= boxes["s"][1]
    assert boxes["a"][0] < boxes["s"][0] < boxes["d"][0]


@pytest.mark.parametrize("space", [KEYBOARD_12, MOUSE], ids=lambda space: space.name)
def test_every_key_that_is_held_looks_different(space: ActionSpace) -> None:
    nothing = with_keys(BLANK, frozenset(), "Go", space)
    seen = {with_keys(BLANK, frozenset({key}), "Go", space).tobytes() for key in space.pressable}
    assert len(seen) == len(space.pressable)
    assert nothing.tobytes() not in seen


def test_the_motion_of_the_mouse_is_an_arrow_to_where_it_went() -> None:
    assert MOUSE.look is not None
    right = with_keys(BLANK, frozenset({MOUSE.look.yaw.symbols[-1]}), "", MOUSE)
    still = with_keys(BLANK, frozenset(), "", MOUSE)
    changed = [x for x in range(320) if right.getpixel((x, 120)) != still.getpixel((x, 120))]
    assert changed[0] > 150
    assert changed[-1] == 319, "60 degrees of the 90 that are seen go past the edge"
    slow = frozenset({next(symbol for symbol in MOUSE.look.yaw.symbols if MOUSE.counts(frozenset({symbol}))[0] > 150)})
    moved = MOUSE.counts(slow)[0] / 5400 * 360 / 90 * 320
    arrow = with_keys(BLANK, slow, "", MOUSE)
    changed = [x for x in range(320) if arrow.getpixel((x, 120)) != still.getpixel((x, 120))]
    assert changed[-1] == pytest.approx(160 + moved, abs=4)
