"""Recordings that are damaged, lie about themselves, or name what is not theirs."""

import io
import json
import os
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from protege.core import Session, encode_jpeg
from protege.core.events import Held, Pause
from protege.core.files import Locked, locked
from protege.core.session import check
from protege.errors import ProtegeError, UserError
from protege.recorder.importers import import_each
from protege.recorder.importing.owamcap_messages import Recording, messages
from tests.recorder.foreign import T0, S, import_recordings, in_order, key, mcap, origin, screens, video

MS = 1_000_000
pipes = pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes among its files")


def noise(i):
    return np.random.default_rng(i).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def imported(source, tmp_path, **options):
    (made,) = import_recordings(source, tmp_path / "out", **options)
    assert check(made.folder) == []
    return made, Session.open(made.folder)


def pauses(session):
    return [(e.pause, e.t_ns) for e in session.events if isinstance(e, Pause)]


# Videos


def test_a_damaged_video_is_decoded_past_the_damage_which_becomes_a_break(tmp_path):
    path = video(tmp_path / "v.mp4", frames=200, fps=20, codec="libx264", picture=noise)
    data = bytearray(path.read_bytes())
    start = len(data) * 3 // 10
    data[start : start + len(data) // 10] = bytes(len(data) // 10)
    path.write_bytes(data)
    made, session = imported(path, tmp_path)
    assert 60 < made.counts["video_frames"] < 195
    assert made.counts["video_frames_claimed"] == 200
    assert made.counts["damaged_pictures"] > 5
    assert session.t_ns[-1] > 9 * S  # behind the damage
    assert [pause for pause, _ in pauses(session)] == ["pictures", "stop"]
    assert len(session.spans()) == 2
    assert made.left_out[0].endswith("left out: pictures are missing")
    assert any("of 200 pictures missing or not matched" in reason for reason in made.quality.reasons)


def test_half_a_download_says_how_much_is_missing_of_what_it_claims(tmp_path):
    options = {"movflags": "faststart"}
    path = video(tmp_path / "v.mp4", frames=200, fps=20, codec="libx264", picture=noise, options=options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    made, session = imported(path, tmp_path)
    assert made.counts["video_frames_claimed"] == 200
    assert made.counts["video_frames"] < 110
    assert made.counts["seconds_claimed"] == 10
    assert made.counts["seconds_missing"] == pytest.approx(5, abs=0.8)
    assert [pause for pause, _ in pauses(session)] == ["pictures"]
    assert any("of 200 pictures missing or not matched" in reason for reason in made.quality.reasons)


def test_half_a_matroska_says_so_too(tmp_path):
    path = video(tmp_path / "v.mkv", frames=200, fps=20, picture=noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    made, _ = imported(path, tmp_path)
    assert (made.counts["seconds_claimed"], made.counts["seconds_missing"]) == (10, pytest.approx(5, abs=0.8))
    assert any("of 200 pictures missing or not matched, 5" in reason for reason in made.quality.reasons)


def test_a_whole_video_misses_nothing(tmp_path):
    made, session = imported(video(tmp_path / "v.mp4", frames=40, fps=20, picture=noise), tmp_path)
    assert made.counts == {"video_frames": 40}
    assert made.left_out == ()
    assert [pause for pause, _ in pauses(session)] == ["stop"]


@pytest.mark.parametrize(("degrees", "corner"), [(90, (0, -1)), (-90, (-1, 0)), (180, (-1, -1))])
def test_a_rotation_flag_is_obeyed(tmp_path, degrees, corner):
    """The picture has one bright corner, top right."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, -16:] = 255
    path = video(tmp_path / "v.mp4", frames=4, picture=lambda _: picture, rotation=degrees)
    _, session = imported(path, tmp_path, size=None)
    assert session.info.frame_size == ((64, 48) if degrees == 180 else (48, 64))
    rgb = session.frame(0).rgb
    expected = np.rot90(picture, degrees // 90)
    assert np.abs(rgb.astype(int) - expected).mean() < 8


def test_a_list_of_other_files_is_no_video(tmp_path):
    """FFmpeg would follow it and show another film."""
    video(tmp_path / "secret.mp4", frames=5)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.mp4"
    for text in ("ffconcat version 1.0\nfile ../secret.mp4\n", "#EXTM3U\n#EXTINF:1,\n../secret.mp4\n#EXT-X-ENDLIST\n"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"a.mp4: not a video that can be read"):
            import_recordings(path, tmp_path / "out")
    path.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    path.rename(tmp_path / "b.mp4")
    with pytest.raises(UserError, match=r"b.mp4: not a video that can be read"):
        import_recordings(tmp_path / "b.mp4", tmp_path / "out")


def test_pictures_coded_in_an_unknown_way_are_refused(tmp_path):
    path = video(tmp_path / "v.mkv", frames=2)
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/ASP", b"V_MPEGX/ISO/ASP"))
    with pytest.raises(UserError, match=r"v.mkv: its pictures are coded in a way that is not known; convert it"):
        import_recordings(path, tmp_path / "out")


def test_pictures_too_large_are_refused_before_one_is_decoded(tmp_path):
    path = video(tmp_path / "v.mp4", frames=1, size=(8000, 16))
    with pytest.raises(UserError, match=r"v.mp4: its pictures are 8000x16, expected at most 7680x4320"):
        import_recordings(path, tmp_path / "out")


def test_two_videos_of_one_name_are_one_recording_and_it_says_which(tmp_path):
    video(tmp_path / "a.mp4", frames=4)
    video(tmp_path / "a.mkv", frames=8)
    made, session = imported(tmp_path, tmp_path)
    assert (session.info.extra["file"], made.counts["not_taken"]) == ("a.mkv", "a.mp4")
    assert session.info.extra["counts"] == made.counts


@pipes
@pytest.mark.parametrize("name", ["v.mp4", "v.mcap"])
def test_a_pipe_is_no_recording(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name}: not a regular file but a pipe"):
        import_recordings(tmp_path / name, tmp_path / "out")


# OWAMcap


@pytest.fixture
def case(tmp_path):
    (tmp_path / "in").mkdir()
    video(tmp_path / "in" / "v.mkv", frames=20, fps=20)
    return tmp_path / "in" / "case.mcap"


@pytest.mark.parametrize("uri", ["v.mkv", "C:\\games\\v.mkv", "/home/me/v.mkv", "somewhere/else/v.mkv", "../../v.mkv"])
def test_the_video_is_the_one_beside_it_wherever_it_was_made(case, tmp_path, uri):
    made, _ = imported(mcap(case, screens(uri, count=20)), tmp_path)
    assert made.counts["pictures"] == 20


def test_a_video_in_a_folder_below_is_found_and_the_other_of_its_name_is_named(case, tmp_path):
    (case.parent / "videos").mkdir()
    video(case.parent / "videos" / "v.mkv", frames=10, fps=20)
    made, _ = imported(mcap(case, screens("videos/v.mkv", count=20)), tmp_path)
    assert (made.counts["pictures"], made.counts["video"], made.counts["not_taken"]) == (10, "v.mkv", "v.mkv")
    video(case.parent / "v.mp4", frames=10, fps=20)
    made, _ = imported(mcap(case.with_name("b.mcap"), screens(count=20)), tmp_path)
    assert (made.counts["pictures"], made.counts["video"], made.counts["not_taken"]) == (20, "v.mkv", "v.mp4")


@pytest.mark.parametrize("uri", ["..", "sub/..", "a\0b", "x/../"])
def test_a_name_that_is_no_name_is_refused(case, tmp_path, uri):
    with pytest.raises(UserError, match=r"case.mcap: the video's name is .*, expected a plain name without a folder"):
        import_recordings(mcap(case, screens(uri, count=20)), tmp_path / "out")


DEEP = b'{"pts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
ODD = {
    "uri 3": [("screen", T0, {"media_ref": {"uri": 3, "pts_ns": 0}})],
    "pts text": [("screen", T0, {"media_ref": {"uri": "v.mkv", "pts_ns": "0"}})],
    "pts null": [("screen", T0, {"path": "v.mkv", "pts": None})],
    "a list": [("screen", T0, [1, 2])],
    "a number": [("screen", T0, 7)],
    "deep": [("screen", T0, DEEP)],
    "nan": [("screen", T0, b'{"path": "v.mkv", "pts": NaN}')],
    "a surrogate": [("screen", T0, b'{"path": "\\ud800", "pts": 0}')],
    "huge utc_ns": [("screen", T0, {"path": "v.mkv", "pts": 0, "utc_ns": 10**30})],
    "huge time": [*screens(count=20), ("mouse", 2**63, {})],
    "vk text": [*screens(count=20), ("keyboard", T0, {"event_type": "press", "vk": "w"})],
    "no vk": [*screens(count=20), ("keyboard", T0, {"event_type": "press"})],
    "buttons 3": [*screens(count=20), ("keyboard/state", T0, {"buttons": 3})],
    "buttons of lists": [*screens(count=20), ("keyboard/state", T0, {"buttons": [[1]]})],
    "title 5": [*screens(count=20), ("window", T0, {"title": 5, "rect": [0, 0, 1, 1]})],
    "rect of two": [*screens(count=20), ("window", T0, {"title": "a", "rect": [0, 0]})],
    "hWnd text": [*screens(count=20), ("window", T0, {"title": "a", "rect": [0, 0, 1, 1], "hWnd": "1"})],
}


@pytest.mark.parametrize("odd", ODD)
def test_a_message_of_the_wrong_kind_is_one_line(case, tmp_path, odd):
    mcap(case, in_order(ODD[odd]) if odd != "huge time" else ODD[odd])
    with pytest.raises(UserError, match=r"case.mcap: a message is not as OWAMcap writes it") as raised:
        import_recordings(case, tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    assert not list((tmp_path / "out").glob("*"))


def test_what_a_file_claims_costs_no_time_and_no_space(case, tmp_path):
    """A clock that jumps by eighty years is a break, not 25 billion frames."""
    jump = 80 * 365 * 86400 * S
    play = [*screens(count=10), *[("mouse", T0 + jump + i * S // 20, {}) for i in range(10)], key(0.2, 0x57, True)]
    made, session = imported(mcap(case, in_order(play)), tmp_path)
    assert len(session) < 10
    assert made.counts["seconds_left_out"] > 2.5e9


def chunked(data, claimed, compression):
    """The bytes of an .mcap with one chunk that says it unpacks to `claimed` bytes."""
    from mcap.writer import Writer

    out = io.BytesIO()
    writer = Writer(out)
    writer.start("owa", "case")
    head = out.getvalue()
    fields = struct.pack("<QQQI", 0, 0, claimed, 0) + struct.pack("<I", len(compression)) + compression.encode()
    body = fields + struct.pack("<Q", len(data)) + data
    return head + b"\x06" + struct.pack("<Q", len(body)) + body


def test_a_length_inside_a_chunk_is_held_against_the_file(case):
    whole = bytearray(chunked(b"abc", 3, ""))
    whole[-11:-3] = struct.pack("<Q", 2**63)
    case.write_bytes(whole)
    with pytest.raises(UserError, match=r"case.mcap: not an mcap file \(a part of 9,223,372,036,854,775,808 bytes\)"):
        list(messages(case, {}, Recording()))


@pytest.mark.parametrize("claimed", [100, 1 << 20, 10**18])
def test_a_chunk_that_unpacks_to_more_than_it_says_is_not_unpacked(case, claimed):
    import zstandard

    case.write_bytes(chunked(zstandard.compress(bytes(1 << 24)), claimed, "zstd"))
    with pytest.raises(UserError, match=r"case.mcap: not an mcap file \(a chunk"):
        list(messages(case, {}, Recording()))


def test_a_folder_imports_the_video_of_an_mcap_once(case, tmp_path):
    mcap(case, screens(count=20))
    video(case.parent / "other.mkv", frames=3)
    made = import_recordings(case.parent, tmp_path / "out")
    assert sorted(m.folder.name for m in made) == ["case", "other"]


# The origin's layout


def jpeg_with_orientation(rgb, orientation):
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(rgb).save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    source = origin(tmp_path / "in", [(0, ["w"]), (100, ["w"])])
    upright = np.zeros((24, 32, 3), np.uint8)
    upright[:8, :8] = 255
    for ms in (0, 100):
        lying = np.ascontiguousarray(np.rot90(upright, 1))  # orientation 6: turn it right to see it
        (source / f"play_{ms}.jpg").write_bytes(jpeg_with_orientation(lying, 6))
    made, session = imported(source, tmp_path, size=None)
    assert session.info.frame_size == (32, 24)
    assert made.counts["frames_encoded_again"] == 2
    assert np.abs(session.frame(0).rgb.astype(int) - upright).mean() < 8


def test_grey_of_sixteen_bits_is_scaled_and_not_white(tmp_path):
    source = origin(tmp_path / "in", [(0, ["w"])])
    grey = np.linspace(0, 65535, 24 * 32).astype(np.uint16).reshape(24, 32)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    (source / "play_0.jpg").write_bytes(out.getvalue())
    _, session = imported(source, tmp_path, size=None)
    assert np.abs(session.frame(0).rgb[..., 0].astype(int) - grey // 257).mean() < 4
    assert session.path(0).read_bytes()[:3] == b"\xff\xd8\xff"


def claims_to_be_huge():
    data = bytearray(encode_jpeg(np.zeros((24, 32, 3), np.uint8)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 12000, 12000)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 24\nshowpage\n", "no JPEG or PNG picture"),
        (claims_to_be_huge(), "(12000x12000|144000000) pixels"),
        (b"", "no JPEG or PNG picture"),
    ],
)
def test_what_is_no_picture_of_a_game_is_not_opened(tmp_path, data, found):
    source = origin(tmp_path / "in", [(0, ["w"])])
    (source / "play_0.jpg").write_bytes(data)
    for size in (None, (32, 24)):
        with pytest.raises(UserError, match=rf"play_0.jpg: cannot be read \(.*{found}.*; expected a JPEG"):
            import_recordings(source, tmp_path / "out", size=size)


@pipes
def test_pipes_among_the_files_are_not_waited_for(tmp_path):
    source = origin(tmp_path / "in", [(0, ["w"]), (100, ["a"])])
    (source / "play_0.json").unlink()
    os.mkfifo(source / "play_0.json")
    made, _ = imported(source, tmp_path, size=None)
    assert made.counts == {"frames_with_unreadable_json": 1, "frames": 1}
    (source / "play_100.jpg").unlink()
    os.mkfifo(source / "play_100.jpg")
    with pytest.raises(UserError, match=r"play_100.jpg: cannot be read \(not a regular file but a pipe\)"):
        import_recordings(source, tmp_path / "out2")


def test_a_frame_of_which_nothing_says_what_was_held_is_a_break(tmp_path):
    source = origin(tmp_path / "in", [(ms, ["w"]) for ms in range(0, 1000, 100)])
    (source / "play_400.json").unlink()
    _, session = imported(source, tmp_path, size=None)
    assert [(s.start, s.stop) for s in session.spans()] == [(0, 4), (4, 9)]
    assert pauses(session) == [("keys", 400 * MS), ("stop", 1000 * MS)]
    assert [e.t_ns for e in session.events if isinstance(e, Held)] == [0, 500 * MS]


@pytest.mark.parametrize("actions", ["wasd", {"w": 1}, [["w"]], [1], None, 7])
def test_an_action_sequence_of_the_wrong_kind_is_no_label(tmp_path, actions):
    source = origin(tmp_path / "in", [(0, ["w"]), (100, ["a"])])
    (source / "play_0.json").write_text(json.dumps({"action_sequence": actions}))
    made, _ = imported(source, tmp_path, size=None)
    assert made.counts == {"frames_with_unreadable_json": 1, "frames": 1}


def test_a_time_that_no_clock_shows_is_refused(tmp_path):
    source = origin(tmp_path / "in", [(0, ["w"]), (999_999_999_999_999, ["w"])])
    with pytest.raises(UserError, match=r"play_999999999999999.jpg: its time is too large, expected milliseconds"):
        import_recordings(source, tmp_path / "out")


def test_unknown_actions_are_counted_without_flooding_or_steering_the_terminal(tmp_path):
    source = origin(tmp_path / "in", [(i * 100, [f"\x1b[2J{i}" + "x" * 500]) for i in range(40)])
    made, _ = imported(source, tmp_path, size=None)
    assert len(made.counts) < 25
    assert made.counts["other_unknown_actions"] == 20
    assert all(name.isprintable() and len(name) < 60 for name in made.counts)


# Writing


def test_a_second_import_into_one_name_waits_for_nobody_and_says_who_is_there(tmp_path):
    path = video(tmp_path / "v.mp4", frames=3)
    said = pytest.raises(Locked, match=r"out/v: protege import \(process \d+, since .*\) is writing here")
    with locked(tmp_path / "out" / "v", "protege import"), said:
        import_recordings(path, tmp_path / "out")
    imported(path, tmp_path)


def test_a_full_disk_is_named(tmp_path):
    def full(_name, _frames):
        raise OSError(28, "No space left on device")

    path = video(tmp_path / "v.mp4", frames=3)
    with pytest.raises(ProtegeError, match=r"out.*: No space left on device"):
        list(import_each(path, tmp_path / "out", progress=full))
    assert not list((tmp_path / "out").glob("*"))
