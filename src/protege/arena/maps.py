"""A Layout as lumps for the engine: its TEXTMAP, the DECORATE lump of our objects, the picture of the posters."""

import struct
import zlib
from dataclasses import replace
from typing import Final

from protege.arena.layouts import PANEL_CELLS, Feature, Layout
from protege.arena.rooms import STEP_RISE, STEPS
from protege.arena.udmf import DESTINATION, PLAYER_START, SIDES, Cell, Coord, Thing, textmap

ROOM_HEIGHT: Final = 128
POSTERS_TEXTURE: Final = "PROPOST"
_TURNTABLE: Final = 100
"""The number of the place to which a turntable sends."""

# Translations recolour the palette's green ramp (112-127) of one pillar; alike pillars differ in colour only.
_ACTORS: Final = (
    ("Lantern", 20001, "COLU", "A", 1.9, ""),
    ("RedTorch", 20002, "SMRT", "ABCD", 1.6, ""),
    ("GreenTorch", 20003, "SMGT", "ABCD", 1.6, ""),
    ("BlueTorch", 20004, "SMBT", "ABCD", 1.6, ""),
    ("Candelabra", 20005, "CBRA", "A", 1.5, ""),
    ("RedPillar", 20006, "COL1", "A", 1.5, "112:127=176:191"),
    ("GreenPillar", 20007, "COL1", "A", 1.5, ""),
    ("BluePillar", 20008, "COL1", "A", 1.5, "112:127=196:207"),
    ("YellowPillar", 20009, "COL1", "A", 1.5, "112:119=224:231,120:127=160:167"),
    ("Tree", 20010, "SMIT", "A", 1.8, ""),
    ("Barrel", 20011, "BAR1", "AB", 2.1, ""),
)


def decorate() -> bytes:
    """The DECORATE lump: our objects, larger than Doom's so that they are seen across a room at 160x120."""
    actors = []
    for name, number, sprite, frames, scale, translation in _ACTORS:
        recolour = f'Translation "{translation}"'.replace(",", '", "') if translation else ""
        actors.append(
            f"actor Arena{name} {number}\n{{\nRadius 16\nHeight 64\nScale {scale}\n{recolour}\n+SOLID\n"
            f"States\n{{\nSpawn:\n{sprite} {frames} 5 Bright\nLoop\n}}\n}}"
        )
    return "\n".join(actors).encode("ascii")


def cells(layout: Layout) -> dict[Coord, Cell]:
    """The grid of a layout. Where it has a door, that is sector 0, and where it has an entrance, that is sector 1."""
    style = layout.style
    room = Cell(0, ROOM_HEIGHT, style.floor, style.ceiling, style.wall, light=style.light)
    grid: dict[Coord, Cell] = {}
    doors = [door for door in (layout.door, layout.entrance) if door is not None]
    for number, door in enumerate(doors):
        # Equal cells would be one sector, and both doors would open: the light behind the second one's face is another.
        face = Cell(0, 124, style.floor, "FLAT1", style.wall, light=style.light - number, door=style.door)
        grid |= dict.fromkeys(_behind(door, 1), face)
    closet = Cell(0, ROOM_HEIGHT, "FLAT19", "FLAT1", "GRAY1", light=144)
    grid |= {coord: closet for door in doors for depth in (2, 3, 4) for coord in _behind(door, depth)}
    for block in layout.rooms:
        for col in range(block.col, block.col + block.cols):
            grid |= {(col, row): room for row in range(block.row, block.row + block.rows)}
    if layout.turntable is not None:
        plate = replace(room, sends_to=_TURNTABLE)
        grid |= {coord: plate for coord in grid if layout.turntable.holds_cell(coord)}
    if layout.opening is not None:
        grid |= dict.fromkeys(_behind(layout.opening, 1), room)
    if layout.stairs is not None:
        grid |= _stairs(layout.stairs, layout)
    return grid


def _behind(feature: Feature, depth: int) -> list[Coord]:
    """Cells of a feature, `depth` cells behind the line of its wall (1 is the first)."""
    dc, dr = SIDES[feature.side]
    room = feature.room
    along = range(feature.first, feature.first + feature.cells)
    if dr:
        row = room.row + room.rows - 1 + depth if dr > 0 else room.row - depth
        return [(room.col + n, row) for n in along]
    col = room.col + room.cols - 1 + depth if dc > 0 else room.col - depth
    return [(col, room.row + n) for n in along]


def _stairs(stairs: Feature, layout: Layout) -> dict[Coord, Cell]:
    """Steps into an alcove whose ceiling rises with them, and a landing of four cells."""
    style = layout.style
    grid: dict[Coord, Cell] = {}
    for depth in range(1, STEPS + PANEL_CELLS + 1):
        height = STEP_RISE * min(depth, STEPS)
        # Every other step is lighter: seen from the front at 160x120 the steps are stripes, not one grey wall.
        light = min(255, style.light + (40 if depth % 2 else -40))
        step = Cell(height, ROOM_HEIGHT + height, "FLAT20", "FLAT1", "SHAWN2", "STEP1", light)
        grid |= dict.fromkeys(_behind(stairs, depth), step)
    return grid


def layout_textmap(layout: Layout) -> bytes:
    """The TEXTMAP of a layout."""
    panels = {}
    if layout.posters is not None:
        panels = {(coord, layout.posters.side): POSTERS_TEXTURE for coord in _behind(layout.posters, 0)}
    start = layout.start
    things = [Thing(PLAYER_START, round(start.x), round(start.y), round(start.angle_deg))]
    if layout.turntable is not None:
        x, y = layout.turntable.middle
        things.append(Thing(DESTINATION, round(x), round(y), 90, tid=_TURNTABLE))
    things += [Thing(placed.kind.number, placed.x, placed.y, tid=placed.tid) for placed in layout.objects]
    return textmap(cells(layout), things, panels)


def posters_png() -> bytes:
    """A 128x128 PNG of two posters on a dark board: a sun over hills, and a ship on the sea."""
    size = 128
    rows = bytearray()
    for y in range(size):
        rows.append(0)
        for x in range(size):
            rows += bytes(_posters_pixel(x, y))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in parts)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _posters_pixel(x: int, y: int) -> tuple[int, int, int]:
    px, py = (x - 6) % 60, y - 20
    if not (6 <= x < 122 and 0 <= py < 92 and px < 56):
        return (55, 35, 25) if x % 32 > 1 and y % 32 > 1 else (40, 25, 18)
    if px < 3 or px >= 53 or py < 3 or py >= 89:
        return 255, 255, 255
    if x < 66:
        return _hills(px, py)
    return _ship(px, py)


def _hills(px: int, py: int) -> tuple[int, int, int]:
    if (px - 28) ** 2 + (py - 30) ** 2 < 196:
        return 255, 60, 40
    return (60, 60, 70) if py > 58 + abs(px - 20) // 2 or py > 66 else (255, 230, 150)


def _ship(px: int, py: int) -> tuple[int, int, int]:
    if py > 68:
        return 30, 60, 190
    if py > 56 and abs(px - 28) < 74 - py:
        return 110, 60, 30
    if 14 < py <= 56 and px >= 28 and px - 28 < (py - 14) // 2:
        return 250, 250, 250
    return 130, 190, 250
