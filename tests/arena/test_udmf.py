"""The map writer: what goes into a PWAD comes out, and a grid becomes the lines it should."""

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protege.arena.udmf import PLAYER_START, Cell, Thing, map_lumps, sectors, textmap, write_wad

FLOOR = Cell(0, 128, "FLAT1", "FLAT1", "STONE2")
STEP = Cell(16, 144, "FLAT1", "FLAT1", "STONE2")
DOOR = Cell(0, 124, "FLAT1", "FLAT1", "STONE2", door="BIGDOOR2")


def read_wad(path):
    """The lumps of a PWAD."""
    data = path.read_bytes()
    magic, count, start = struct.unpack_from("<4sii", data)
    assert magic == b"PWAD"
    entries = (struct.unpack_from("<ii8s", data, start + 16 * n) for n in range(count))
    return [(name.rstrip(b"\0").decode("ascii"), data[at : at + size]) for at, size, name in entries]


names = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", min_size=1, max_size=8)


def room(cols=4, rows=3):
    return {(c, r): FLOOR for c in range(cols) for r in range(rows)}


def lines(text):
    return re.findall(rb"linedef \{.*\}", text)


@given(st.lists(st.tuples(names, st.binary(max_size=50)), max_size=6))
def test_reading_a_wad_undoes_writing_it(tmp_path_factory, lumps):
    path = tmp_path_factory.mktemp("wad") / "a.wad"
    offsets = write_wad(path, lumps)
    assert read_wad(path) == lumps
    for offset, (_, data) in zip(offsets, lumps, strict=True):
        assert path.read_bytes()[offset : offset + len(data)] == data


def test_several_maps_fit_in_one_file(tmp_path):
    text = textmap(room(), [Thing(PLAYER_START, 48, 48)])
    write_wad(tmp_path / "a.wad", map_lumps("MAP01", text) + map_lumps("MAP02", text))
    assert [name for name, _ in read_wad(tmp_path / "a.wad")] == [
        "MAP01",
        "TEXTMAP",
        "ENDMAP",
        "MAP02",
        "TEXTMAP",
        "ENDMAP",
    ]


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(ValueError, match="1 to 8 characters, got 'MUCHTOOLONG'"):
        write_wad(tmp_path / "a.wad", [("MUCHTOOLONG", b"")])


def test_a_room_is_four_lines_whatever_its_size():
    assert len(lines(textmap(room(), []))) == 4
    assert len(lines(textmap(room(9, 7), []))) == 4


def test_lines_go_clockwise_so_that_they_face_inward():
    text = textmap(room(2, 2), []).decode()
    points = [tuple(map(float, p)) for p in re.findall(r"vertex \{ x = (\S+); y = (\S+); \}", text)]
    ends = [tuple(map(int, p)) for p in re.findall(r"v1 = (\d+); v2 = (\d+)", text)]
    area = sum(points[a][0] * points[b][1] - points[b][0] * points[a][1] for a, b in ends)
    assert area < 0


def test_a_step_is_one_two_sided_line_and_a_sector_of_its_own():
    grid = room() | {(c, 3): STEP for c in range(4)}
    text = textmap(grid, [])
    assert sum(b"twosided" in line for line in lines(text)) == 1
    assert sectors(grid) == [FLOOR, STEP]


def test_a_door_is_shut_and_opens_with_use_from_both_sides():
    grid = room() | {(1, 3): DOOR, (2, 3): DOOR} | {(c, 4): FLOOR for c in (1, 2)}
    text = textmap(grid, [])
    used = [line for line in lines(text) if b"special = 11" in line]
    assert len(used) == 2
    assert all(b"playeruse = true" in line for line in used)
    assert b"heightfloor = 0; heightceiling = 0;" in text


def test_a_panel_has_its_own_texture_on_that_side_only():
    text = textmap(room(), [], {((c, 2), "n"): "POSTERS" for c in (1, 2)})
    assert text.count(b'"POSTERS"') == 1
    assert len(lines(text)) == 6


def test_a_cell_too_low_for_a_player_is_refused():
    with pytest.raises(ValueError, match="56 units of headroom, got 80 to 128"):
        Cell(80, 128, "FLAT1", "FLAT1", "STONE2")
