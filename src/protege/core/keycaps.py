"""A picture of a game with the keys that are held drawn below it, for people who watch."""

from functools import cache
from itertools import pairwise
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from protege.core.actions import Action, ActionSpace

CAP: Final = 20
"""Width and height of a key, in pixels."""
STEP: Final = CAP + 3
ROWS: Final = (
    "esc f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12",
    "` 1 2 3 4 5 6 7 8 9 0 - = backspace",
    "tab q w e r t y u i o p [ ] enter",
    "caps_lock a s d f g h j k l ; ' \\",
    "shift z x c v b n m , . /",
    "ctrl cmd alt space",
)
"""The main block, as on a US keyboard; a key stands where its row and its number in the row say."""
CURSOR: Final = {"up": (1, 0), "left": (0, 1), "down": (1, 1), "right": (2, 1)}
"""Column and row of the arrows in a block of their own."""
ARROWS: Final = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
VIEW_DEG: Final = 90.0
SIGNS: Final = {
    **{"mouse_left": "LMB", "mouse_middle": "MMB", "mouse_right": "RMB", "mouse_4": "M4", "mouse_5": "M5"},
    **{"wheel_up": "wh+", "wheel_down": "wh-", "caps_lock": "caps", "backspace": "back", "page_up": "pg up"},
    **{"page_down": "pg dn", "delete": "del", "insert": "ins", "print_screen": "print"},
}
LIT: Final = (255, 205, 60)
UNLIT: Final = (70, 70, 78)
INK: Final = (200, 200, 205)
DARK: Final = (24, 24, 28)
Box = tuple[int, int, int, int]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def caps(space: ActionSpace) -> tuple[dict[str, Box], int, int]:
    """(left, top, right, bottom) in pixels of every key of a space as on a keyboard, and the width and height of all.

    Rows and columns without a key are left out; what is on no keyboard's main block stands to the right of it.
    """
    keys = set(space.pressable)
    rows = [[key for key in row.split(" ") if key in keys] for row in ROWS]
    boxes: dict[str, Box] = {}
    right = bottom = 0
    full = [row.split(" ") for row in ROWS]
    used = [row for row, found in zip(full, rows, strict=True) if found]
    # Columns that no row needs are closed up, so that w still stands above s.
    columns = sorted({row.index(key) for row in used for key in row if key in keys})
    at = {column: i for i, column in enumerate(columns)}
    for y, row in enumerate(used):
        free = 0
        for key in row:
            if key in keys:
                left = max(free, at[row.index(key)] * STEP)
                boxes[key] = (left, y * STEP, left + _width(key), y * STEP + CAP)
                free = left + _width(key) + STEP - CAP
                right = max(right, free)
        bottom = (y + 1) * STEP
    if cursor := {key: place for key, place in CURSOR.items() if key in keys}:
        left = right + (CAP if right else 0)
        for key, (column, y) in cursor.items():
            x = left + column * STEP
            boxes[key] = (x, y * STEP, x + CAP, y * STEP + CAP)
        right, bottom = left + 3 * STEP, max(bottom, 2 * STEP)
    others = [key for key in space.pressable if key not in boxes]
    tall = max(2, bottom // STEP)
    x, y = right + (CAP if right and others else 0), 0
    widest = 0
    for key in others:
        boxes[key] = (x, y * STEP, x + _width(key), y * STEP + CAP)
        widest = max(widest, _width(key) + STEP - CAP)
        right, bottom = max(right, x + widest), max(bottom, (y + 1) * STEP)
        y += 1
        if y == tall:
            x, y, widest = x + widest, 0, 0
    return boxes, right, bottom


def _width(key: str) -> int:
    if key in ARROWS or len(key) == 1:
        return CAP
    if key == "space":
        return 3 * STEP - 3
    return max(CAP, round(_font(11).getlength(SIGNS.get(key, key))) + 10)


def with_keys(picture: Image.Image, held: Action, text: str, space: ActionSpace) -> Image.Image:
    """The picture above a keyboard of the space's keys on which the held ones are lit, with a line of text on it.

    An arrow in its middle is the motion of the mouse, where the action holds some.
    """
    boxes, width, height = caps(space)
    whole = Image.new("RGB", (max(picture.width, width + 12), picture.height + height + 8), DARK)
    whole.paste(picture, ((whole.width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(whole)
    top = picture.height + 4
    for key, (x0, y0, x1, y1) in boxes.items():
        _cap(draw, key, (x0 + 6, y0 + top, x1 + 6, y1 + top), lit=key in held)
    if text:
        draw.text((whole.width - 6, 8), text, "white", _font(14), anchor="ra", stroke_width=2, stroke_fill="black")
    if space.look is not None:
        _arrow(draw, space, held, (whole.width / 2, picture.height / 2), picture.width)
    return whole


def _cap(draw: ImageDraw.ImageDraw, key: str, box: Box, *, lit: bool) -> None:
    draw.rounded_rectangle(box, 4, fill=LIT if lit else UNLIT)
    ink = DARK if lit else INK
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if key in ARROWS:
        dx, dy = ARROWS[key]
        back_x, back_y = x - 4 * dx, y - 4 * dy
        draw.polygon(
            [(x + 6 * dx, y + 6 * dy), (back_x + 5 * dy, back_y + 5 * dx), (back_x - 5 * dy, back_y - 5 * dx)], ink
        )
    else:
        draw.text((x, y), key.upper() if len(key) == 1 else SIGNS.get(key, key), ink, _font(11), anchor="mm")


def _arrow(draw: ImageDraw.ImageDraw, space: ActionSpace, held: Action, middle: tuple[float, float], wide: int) -> None:
    """As long as the picture moves, in a game that shows `VIEW_DEG` degrees from side to side."""
    assert space.look is not None
    dx, dy = (n * space.look.degrees_per_count / VIEW_DEG * wide for n in space.counts(held))
    dx = min(max(dx, -wide / 2), wide / 2)
    length = (dx * dx + dy * dy) ** 0.5
    if length < 1:
        return
    x, y = middle
    tip = (x + dx, y + dy)
    across = (-dy / length * 5, dx / length * 5)
    back = (tip[0] - dx / length * 8, tip[1] - dy / length * 8)
    wings = [(back[0] + sign * across[0], back[1] + sign * across[1]) for sign in (1, -1)]
    for ink, extra in (("black", 2), (LIT, 0)):
        draw.line([middle, back], ink, 3 + extra)
        for one, other in pairwise([tip, *wings, tip]):
            draw.line([one, other], ink, 2 + extra)
    draw.polygon([tip, *wings], LIT)
