"""Writes Doom maps: a grid of cells becomes UDMF text, and lumps become a PWAD; standard library only."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CELL: Final = 32
"""Map units on the side of one cell; a player is 32 wide and 56 tall."""

Coord = tuple[int, int]
"""(column, row) of a cell; column grows to the east (+x), row to the north (+y)."""

# Seen from inside a cell, its four sides clockwise: a clockwise linedef has its front to the right, that is inside.
SIDES: Final[dict[str, tuple[int, int]]] = {"n": (0, 1), "e": (1, 0), "s": (0, -1), "w": (-1, 0)}


@dataclass(frozen=True)
class Cell:
    """What one cell is made of; equal cells are one sector.

    floor, ceiling: heights in map units. wall: texture of solid sides and of steps in the ceiling; riser: of steps in
    the floor. door: the texture of its face where the cell is a door, shut when the map starts and opened by "use".
    sends_to: number of the thing (a DESTINATION) to which one who steps on it from outside is sent, 0 for none.
    """

    floor: int
    ceiling: int
    floor_texture: str
    ceiling_texture: str
    wall: str
    riser: str = "STEP4"
    light: int = 208
    door: str = ""
    sends_to: int = 0

    def __post_init__(self) -> None:
        if not self.door and self.ceiling - self.floor < 56:
            raise ValueError(f"a player needs 56 units of headroom, got {self.floor} to {self.ceiling}")

    @property
    def faced(self) -> bool:
        """Whether its sides do something to those who come from outside."""
        return bool(self.door or self.sends_to)

    @property
    def top(self) -> int:
        """Height of the ceiling when the map starts: a door begins shut."""
        return self.floor if self.door else self.ceiling


@dataclass(frozen=True)
class Thing:
    """An object of engine type `number` at (x, y); angle_deg 0 looks east, 90 north."""

    number: int
    x: int
    y: int
    angle_deg: int = 0
    tid: int = 0


PLAYER_START: Final = 1
DESTINATION: Final = 14
_SKILLS: Final = " ".join(f"skill{n} = true;" for n in range(1, 6)) + " single = true; coop = true; dm = true;"
# Door_Open: opens and stays open; arg1 is the speed in eighths of a unit per tic.
_DOOR_SPECIAL: Final = " special = 11; arg0 = 0; arg1 = 32; playeruse = true;"
# Teleport_NoFog: turns who crosses the line from its front as the destination is turned, and stops him.
_SENDING: Final = " special = 71; arg0 = {}; arg1 = 1; playercross = true; repeatspecial = true;"


@dataclass(frozen=True)
class _Edge:
    """One side of a cell that needs a linedef; equal edges in a row are merged into one line."""

    side: str
    front: Cell
    back: Cell | None
    texture: str


def _edges(cells: Mapping[Coord, Cell], panels: Mapping[tuple[Coord, str], str]) -> dict[tuple[Coord, str], _Edge]:
    edges = {}
    for coord, cell in cells.items():
        for side, (dc, dr) in SIDES.items():
            other = (coord[0] + dc, coord[1] + dr)
            back = cells.get(other)
            if back is None:
                edges[coord, side] = _Edge(side, cell, None, panels.get((coord, side), cell.wall))
            elif back != cell and (back.faced or (not cell.faced and coord < other)):
                # A two-sided line is written once; a door's faces look at the rooms, so the room is the front.
                edges[coord, side] = _Edge(side, cell, back, "")
    return edges


def _runs(edges: Mapping[tuple[Coord, str], _Edge]) -> Iterable[tuple[_Edge, Coord, Coord]]:
    """Edges merged into straight runs: the edge, the first and the last cell, west to east or south to north."""
    for (coord, side), edge in edges.items():
        along = (1, 0) if side in "ns" else (0, 1)
        if edges.get(((coord[0] - along[0], coord[1] - along[1]), side)) == edge:
            continue
        last = coord
        while edges.get((following := (last[0] + along[0], last[1] + along[1]), side)) == edge:
            last = following
        yield edge, coord, last


def _ends(side: str, first: Coord, last: Coord) -> tuple[Coord, Coord]:
    """Corner points of a run, in cells, in the direction that puts the front inside."""
    (c0, r0), (c1, r1) = first, (last[0] + 1, last[1] + 1)
    return {
        "n": ((c0, r1), (c1, r1)),
        "e": ((c1, r1), (c1, r0)),
        "s": ((c1, r0), (c0, r0)),
        "w": ((c0, r0), (c0, r1)),
    }[side]


def sectors(cells: Mapping[Coord, Cell]) -> list[Cell]:
    """The distinct cells in the order of the engine's sectors."""
    return list(dict.fromkeys(cells.values()))


def textmap(
    cells: Mapping[Coord, Cell], things: Sequence[Thing], panels: Mapping[tuple[Coord, str], str] | None = None
) -> bytes:
    """A TEXTMAP lump. panels: textures of single solid sides, where they differ from the cell's wall."""
    number = {cell: n for n, cell in enumerate(sectors(cells))}
    vertices: dict[Coord, int] = {}
    sides: list[str] = []
    lines: list[str] = []

    def sidedef(cell: Cell, **textures: str) -> int:
        named = "".join(f' texture{part} = "{name}";' for part, name in textures.items())
        sides.append(f"sidedef {{ sector = {number[cell]};{named} }}")
        return len(sides) - 1

    for edge, first, last in _runs(_edges(cells, panels or {})):
        v1, v2 = (vertices.setdefault(point, len(vertices)) for point in _ends(edge.side, first, last))
        text = f"linedef {{ v1 = {v1}; v2 = {v2}; "
        if edge.back is None:
            track = "DOORTRAK" if edge.front.door else edge.texture
            text += f"sidefront = {sidedef(edge.front, middle=track)}; blocking = true; dontpegbottom = true; }}"
        else:
            front = sidedef(edge.front, top=edge.back.door or edge.front.wall, bottom=edge.front.riser)
            back = sidedef(edge.back, top=edge.back.wall, bottom=edge.back.riser)
            special = _DOOR_SPECIAL if edge.back.door else ""
            special += _SENDING.format(edge.back.sends_to) if edge.back.sends_to else ""
            text += f"sidefront = {front}; sideback = {back}; twosided = true;{special} }}"
        lines.append(text)
    text = ['namespace = "zdoom";']
    text += [f"vertex {{ x = {c * CELL}.0; y = {r * CELL}.0; }}" for c, r in vertices]
    text += lines + sides + [_sector(cell) for cell in number] + [_thing(thing) for thing in things]
    return "\n".join(text).encode("ascii")


def _sector(cell: Cell) -> str:
    return (
        f"sector {{ heightfloor = {cell.floor}; heightceiling = {cell.top}; lightlevel = {cell.light}; "
        f'texturefloor = "{cell.floor_texture}"; textureceiling = "{cell.ceiling_texture}"; }}'
    )


def _thing(thing: Thing) -> str:
    return (
        f"thing {{ id = {thing.tid}; x = {thing.x}.0; y = {thing.y}.0; "
        f"angle = {thing.angle_deg}; type = {thing.number}; {_SKILLS} }}"
    )


def map_lumps(name: str, text: bytes) -> list[tuple[str, bytes]]:
    """The three lumps of one map, for `write_wad`."""
    return [(name, b""), ("TEXTMAP", text), ("ENDMAP", b"")]


def write_wad(path: Path, lumps: Sequence[tuple[str, bytes]]) -> list[int]:
    """Writes a PWAD; returns the offset of every lump in the file. Names are at most 8 ASCII characters."""
    body, directory, offsets = bytearray(), bytearray(), []
    for name, data in lumps:
        raw = name.encode("ascii")
        if not 0 < len(raw) <= 8:
            raise ValueError(f"a lump's name has 1 to 8 characters, got {name!r}")
        offsets.append(12 + len(body))
        directory += struct.pack("<ii8s", offsets[-1], len(data), raw)
        body += data
    path.write_bytes(struct.pack("<4sii", b"PWAD", len(lumps), 12 + len(body)) + body + directory)
    return offsets
