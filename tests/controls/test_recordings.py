"""Recordings on disk: written, read, converted from version 1, and refused with the file's name."""

import io
import os
import pickle
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protege.controls.legacy import CONTROLS_V1, convert_controls, convert_state
from protege.controls.recordings import BadRecording, read, require_one_rate, scan, write
from protege.controls.tables import DEFAULT_STATE, HEADS, NAMES, SCREEN, STATE_NAMES
from protege.errors import UserError


def save(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


@pytest.fixture
def version_2(recording):
    """The arrays of a good file; version_2(name=None) leaves one out."""

    def make(length=40, **changed):
        made = recording(length)
        arrays = {
            "frames": made.frames,
            "controls": made.controls,
            "game_state": made.game_state,
            "timestamps": made.timestamps,
            "fps": np.float32(30),
            "version": np.int32(2),
            "session_type": np.array("combat"),
        }
        return {name: array for name, array in (arrays | changed).items() if array is not None}

    return make


def version_1(length=40, state=24):
    rng = np.random.default_rng(0)
    return {
        "pose_world": rng.normal(size=(length, 33, 3)).astype(np.float32),
        "left_hand_3d": rng.normal(size=(length, 21, 3)).astype(np.float32),
        "right_hand_3d": rng.normal(size=(length, 21, 3)).astype(np.float32),
        "left_hand_present": np.ones(length, bool),
        "right_hand_present": np.zeros(length, bool),
        "pose_visibility": rng.random((length, 33)).astype(np.float32),
        "controls": np.tile(np.arange(1, 11, dtype=np.float32) / 10, (length, 1)),
        "game_state": np.tile(np.arange(1, state + 1, dtype=np.float32) / 100, (length, 1)),
        "session_type": np.array("mining"),
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(1, 50), seed=st.integers(0, 99), kind=st.sampled_from(["mixed", "combat", "Höhle"]))
def test_reading_undoes_writing(recording, tmp_path, length, seed, kind):
    made = recording(length, seed, session_type=kind, fps=29.5)
    found = read(write(made, tmp_path / "r.npz"))
    for name in ("frames", "controls", "game_state", "timestamps"):
        np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
        assert getattr(found, name).dtype == getattr(made, name).dtype
    assert (found.fps, found.session_type, found.path) == (29.5, kind, tmp_path / "r.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["r.npz"]


def test_a_file_of_version_2_holds_what_is_documented(recording, tmp_path):
    with np.load(write(recording(40), tmp_path / "r.npz"), allow_pickle=False) as file:
        kinds = {name: (file[name].dtype.str[1:], file[name].shape) for name in file.files}
    assert kinds == {
        "frames": ("f4", (40, 260)),
        "controls": ("f4", (40, 28)),
        "game_state": ("f4", (40, 46)),
        "timestamps": ("f8", (40,)),
        "fps": ("f4", ()),
        "version": ("i4", ()),
        "session_type": ("U5", ()),
    }


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"frames": np.zeros((40, 259), np.float32)}, "frames is 40 x 259; expected 40 x 260"),
        ({"controls": np.zeros((40, 27), np.float32)}, "controls is 40 x 27; expected 40 x 28"),
        ({"controls": np.zeros((39, 28), np.float32)}, "controls is 39 x 28; expected 40 x 28"),
        ({"game_state": np.zeros((40, 24), np.float32)}, "game_state is 40 x 24; expected 40 x 46"),
        ({"timestamps": np.zeros(39)}, "timestamps is 39; expected 40"),
        ({"frames": np.full((40, 260), np.nan, np.float32)}, "frames is not a number or infinite in frame 0"),
        ({"controls": np.full((40, 28), np.inf, np.float32)}, "controls is not a number"),
        ({"game_state": np.full((40, 46), -np.inf, np.float32)}, "game_state is not a number"),
        ({"controls": np.full((40, 28), 15, np.float32)}, "a control is 15; expected -1 to 1"),
        ({"timestamps": -np.arange(40.0)}, "timestamps go backwards"),
        ({"fps": np.float32(0)}, "fps"),
        ({"fps": np.float32(np.nan)}, "fps"),
        ({"version": np.int32(3)}, "version.*3.*expected 1 or 2"),
        ({"frames": None}, "no 'frames' in it"),
        ({"controls": None}, "no 'controls' in it"),
        ({"frames": np.array("text")}, "not a recording"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_why(version_2, tmp_path, changed, says):
    path = save(tmp_path / "bad.npz", **version_2(**changed))
    with pytest.raises(BadRecording, match=rf"bad\.npz: .*{says}"):
        read(path)


def test_python_objects_in_a_file_are_never_loaded(version_2, tmp_path):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("code of a recording was run",))

    objects = np.array([Evil()], dtype=object)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pickle, "loads", lambda *_: pytest.fail("unpickled"))
        path = save(tmp_path / "bad.npz", **version_2(session_type=objects))
        with pytest.raises(BadRecording, match=r"bad\.npz: .*never loaded"):
            read(path)
        with pytest.raises(UserError, match=r"bad\.npz: .*never loaded"):
            scan([path])


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 40])
def test_a_file_that_is_no_recording_is_refused(tmp_path, data):
    path = tmp_path / "bad.npz"
    path.write_bytes(data)
    with pytest.raises(BadRecording, match=r"bad\.npz: not a recording"):
        read(path)
    with pytest.raises(BadRecording, match="no such file"):
        read(tmp_path / "none.npz")


def test_a_file_cut_short_is_refused(recording, tmp_path):
    path = write(recording(40), tmp_path / "bad.npz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadRecording, match=r"bad\.npz: not a recording"):
        read(path)


def test_a_bit_that_has_flipped_is_noticed(recording, tmp_path):
    path = write(recording(200), tmp_path / "bad.npz")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(BadRecording, match=r"bad\.npz: not a recording"):
        read(path)


@pytest.mark.parametrize("save_as", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_numpy_reads_them(version_2, tmp_path, save_as, order):
    arrays = {name: np.asarray(value, order=order) for name, value in version_2().items()}
    arrays["controls"] = arrays["controls"].astype(">f8")
    save_as(tmp_path / "r.npz", **arrays)
    found = read(tmp_path / "r.npz")
    for name in ("frames", "controls", "game_state", "timestamps"):
        np.testing.assert_array_equal(getattr(found, name), arrays[name])


def test_a_missing_state_is_an_ordinary_one(version_2, tmp_path):
    found = read(save(tmp_path / "r.npz", **version_2(game_state=None, timestamps=None, fps=None, session_type=None)))
    np.testing.assert_array_equal(found.game_state, np.tile(DEFAULT_STATE, (40, 1)))
    np.testing.assert_allclose(found.timestamps, np.arange(40) / 30)
    assert found.session_type == "mixed"


def test_an_absent_cursor_is_the_last_known_one_and_is_counted(version_2, tmp_path):
    arrays = version_2()
    x, y = HEADS["cursor"]
    arrays["game_state"][10:20, SCREEN] = 0.33
    arrays["game_state"][25:30, SCREEN] = 0.33
    arrays["controls"][:, [x, y]] = -1
    arrays["controls"][12:14, x], arrays["controls"][12:14, y] = 0.2, 0.9
    found = read(save(tmp_path / "r.npz", **arrays))
    cursor = found.controls[:, [x, y]]
    np.testing.assert_array_equal(cursor[:10], 0)
    np.testing.assert_array_equal(cursor[10:12], 0.5)
    np.testing.assert_array_equal(cursor[12:20], np.array([[0.2, 0.9]] * 8, np.float32))
    np.testing.assert_array_equal(cursor[20:25], 0)
    np.testing.assert_array_equal(cursor[25:30], 0.5)
    assert found.absent_cursor == 15 - 2


def test_version_1_is_converted(tmp_path):
    arrays = version_1()
    found = read(save(tmp_path / "old.npz", **arrays))
    np.testing.assert_array_equal(found.frames[:, :99], arrays["pose_world"].reshape(40, 99))
    np.testing.assert_array_equal(found.frames[:, 99:162], arrays["left_hand_3d"].reshape(40, 63))
    np.testing.assert_array_equal(found.frames[:, 162:225], arrays["right_hand_3d"].reshape(40, 63))
    assert found.frames[0, 225:227].tolist() == [1, 0]
    np.testing.assert_array_equal(found.frames[:, 227:260], arrays["pose_visibility"])
    moved = {0: 0, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 9, 9: 10}
    expected = np.zeros(28, np.float32)
    for old, new in moved.items():
        expected[new] = arrays["controls"][0, old]
    np.testing.assert_array_equal(found.controls[0], expected)
    assert (found.session_type, found.fps) == ("mining", 30.0)


def test_the_state_of_version_1_goes_to_its_documented_places_rescaled():
    old = np.arange(1, 25, dtype=np.float32)[None] / 100
    moved = {**{i: i for i in range(4)}, 5: 4, 6: 5, 7: 11, 8: 12, 9: 14, 10: 15, 11: 20, 12: 21, 13: 26, 14: 25}
    moved |= {15: 22, 16: 24, 17: 29, 18: 30, 19: 23, 20: 7, 21: 16, 22: 27, 23: 19}
    expected = DEFAULT_STATE.copy()
    for before, after in moved.items():
        expected[after] = old[0, before] * {15: 0.5, 19: 1 / 3}.get(before, 1)
    expected[10] = 1 - old[0, 20]  # a shield or nothing
    np.testing.assert_allclose(convert_state(old)[0], expected, rtol=1e-6)


def test_a_fall_at_terminal_speed_means_the_same_in_both_versions():
    """The origin clamped the speed of version 1 at 1 block a tick and read it as 3."""
    old = np.zeros((1, 24), np.float32)
    old[0, 19] = -1
    assert convert_state(old)[0, STATE_NAMES.index("velocity_y")] == np.float32(-1 / 3)


def test_other_widths_of_version_1():
    short = convert_state(np.zeros((2, 16), np.float32))
    assert short[0, STATE_NAMES.index("attack_cooldown")] == 1  # not recorded then
    assert convert_state(np.ones((2, 60), np.float32)).shape == (2, 46)
    with pytest.raises(ValueError, match="20 wide"):
        convert_state(np.zeros((2, 20), np.float32))
    assert convert_controls(np.ones((2, 12), np.float32)).sum() == 24
    assert convert_controls(np.ones((2, 30), np.float32)).shape == (2, 28)
    assert [name in NAMES for name in CONTROLS_V1] == [True] * 10


def test_a_scan_finds_what_can_be_used_and_counts_the_rest(recording, version_2, tmp_path):
    write(recording(40), tmp_path / "a.npz")
    save(tmp_path / "b.npz", **version_1(50))
    write(recording(29), tmp_path / "short.npz")
    save(tmp_path / "empty.npz", **{name: array[:0] if array.ndim else array for name, array in version_2().items()})
    save(tmp_path / "narrow.npz", **version_2(frames=np.zeros((40, 100), np.float32)))
    (tmp_path / "notes.txt").write_text("not a recording")
    found = scan([tmp_path])
    assert [(f.path.name, len(f), f.session_type) for f in found.files] == [
        ("a.npz", 40, "mixed"),
        ("b.npz", 50, "mining"),
    ]
    skipped = {skip.path.name: skip.reason for skip in found.skipped}
    assert set(skipped) == {"short.npz", "empty.npz", "narrow.npz"}
    assert "29 frames; expected 30 or more" in skipped["short.npz"]
    assert "40 x 100" in skipped["narrow.npz"]
    assert len(found.files[0].load()) == 40


def test_nothing_to_use_is_an_error_that_says_how_to_make_some(recording, tmp_path):
    with pytest.raises(UserError, match="no recording to use; make some with"):
        scan([tmp_path])
    write(recording(5), tmp_path / "short.npz")
    with pytest.raises(UserError, match=r"1 skipped; the first: .*short\.npz: 5 frames"):
        scan([tmp_path])
    with pytest.raises(UserError, match="no such file or folder"):
        scan([tmp_path / "none"])


def test_mixed_rates_are_an_error_that_names_two_files(recording, tmp_path):
    write(recording(40, fps=30.0), tmp_path / "a.npz")
    write(recording(40, fps=29.97), tmp_path / "b.npz")
    assert require_one_rate(scan([tmp_path]).files) == 30
    write(recording(40, fps=20.0), tmp_path / "c.npz")
    with pytest.raises(UserError, match=r"c\.npz: 20 frames a second, but .*a\.npz has 30"):
        scan([tmp_path])


def test_a_write_that_fails_leaves_nothing(recording, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    before = write(recording(40), tmp_path / "r.npz").read_bytes()
    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        write(recording(50), tmp_path / "r.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["r.npz"]
    assert (tmp_path / "r.npz").read_bytes() == before


def test_a_file_without_a_version_is_judged_by_its_widths(version_2, tmp_path):
    found = read(save(tmp_path / "r.npz", **version_2(version=None)))
    np.testing.assert_array_equal(found.frames, version_2()["frames"])
    assert len(scan([tmp_path / "r.npz"]).files[0]) == 40
    both = save(tmp_path / "both.npz", **version_1(), frames=np.zeros((40, 3), np.float32))
    assert read(both).frames.shape == (40, 260)
    with pytest.raises(BadRecording, match="frames is 40 x 259; expected 40 x 260"):
        read(save(tmp_path / "bad.npz", **version_2(version=None, frames=np.zeros((40, 259), np.float32))))


MILLISECONDS = np.arange(40) * 1000 / 30


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"frames": np.zeros((40, 260), np.complex64)}, "frames holds complex numbers; expected numbers"),
        ({"controls": np.full((40, 28), "w")}, "controls holds text; expected numbers"),
        ({"timestamps": np.full(40, b"0")}, "timestamps holds text; expected numbers"),
        ({"timestamps": np.arange(40).astype("M8[s]")}, r"timestamps holds datetime64\[s\]; expected numbers"),
        ({"timestamps": MILLISECONDS}, "timestamps grow by 33.3333 a frame at 30 frames a second: milliseconds;"),
        ({"timestamps": MILLISECONDS * 1e6}, "nanoseconds; expected seconds"),
        ({"version": np.float64(np.inf)}, "version inf; expected 1 or 2"),
        ({"version": np.float64(np.nan)}, "version nan; expected 1 or 2"),
        ({"version": np.array("2")}, "version is <U1 of"),
        ({"version": np.zeros(1000)}, r"version is float64 of \(1000,\); expected a number"),
        ({"version": np.int64(-(2**62))}, "version -4611686018427387904; expected 1 or 2"),
        ({"fps": np.array("30")}, "fps is <U2 of .*expected a number"),
        ({"fps": np.complex64(30)}, "fps is complex64 of"),
        ({"session_type": np.array("x" * 10_000)}, "session_type is <U10000 of .*expected a short text"),
        ({"session_type": np.float32(3)}, "session_type is float32"),
        ({"frames": np.float32(3)}, "frames is ; expected 0 x 260|frames is"),
        ({"frames": np.zeros((40, 260), "f4,f4")}, "frames holds .*expected numbers"),
        ({"frames": np.full((40, 260), 1e300)}, "frames is not a number or infinite in frame 0"),
    ],
)
def test_what_is_no_number_of_seconds_or_metres_is_named_by_every_reader(version_2, tmp_path, changed, says):
    path = save(tmp_path / "bad.npz", **version_2(**changed))
    with pytest.raises(BadRecording, match=says):
        read(path)


def test_an_array_under_another_name_is_called_one(tmp_path):
    with (tmp_path / "r.npz").open("wb") as file:
        np.save(file, np.zeros((40, 260), np.float32))
    with pytest.raises(BadRecording, match=r"r\.npz: not a recording \(a single array \(\.npy\), whatever its name\)"):
        read(tmp_path / "r.npz")
    with pytest.raises(UserError, match=r"1 skipped; the first: .*a single array"):
        scan([tmp_path])


def header_of(shape, kind="<f4"):
    """An array's file with a header alone."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        header_of((10**12, 260)),
        header_of((-1, 260)),
        header_of((40, 260), "|O"),
        header_of((40, 260), "|V1000000000"),
        header_of((40, 260)).replace(b"(40", b"[40"),
        header_of((40, 260)).replace(b"40, 260", b"4E1,260"),
        b"\x93NUMPY\x03\x00\xff\xff\xff\x7f{",
        b"\x93NUMPY",
        b"",
    ],
)
def test_a_header_that_claims_what_is_not_there_costs_no_memory(version_2, tmp_path, data):
    path = save(tmp_path / "bad.npz", **version_2(frames=None))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("frames.npy", data)
    tracemalloc.start()
    with pytest.raises(BadRecording, match=r"bad\.npz: "):
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20
    with pytest.raises(UserError, match="1 skipped"):
        scan([path])


def test_a_file_that_would_unpack_to_a_hundred_times_its_size_is_not_unpacked(version_2, tmp_path):
    length = 100_000
    path = save(tmp_path / "bad.npz", **version_2(frames=None, controls=None, game_state=None, timestamps=None))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, width in (("frames", 260), ("controls", 28)):
            with archive.open(f"{name}.npy", "w") as member:
                member.write(header_of((length, width)))
                for _ in range(length // 1000):
                    member.write(bytes(width * 4 * 1000))
    with pytest.raises(BadRecording, match="frames would unpack to 104,000,128 bytes from"):
        read(path)


def test_a_member_that_claims_another_size_is_damaged(version_2, tmp_path):
    path = save(tmp_path / "bad.npz", **version_2())
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")  # the directory's first entry: its size when unpacked
    data[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(BadRecording, match="frames claims 41,600 bytes, and the file holds 4,294,967,280 of it"):
        read(path)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in the file system")
def test_a_pipe_is_no_recording(tmp_path):
    os.mkfifo(tmp_path / "r.npz")
    with pytest.raises(BadRecording, match="not a regular file but a pipe"):
        read(tmp_path / "r.npz")
    with pytest.raises(UserError, match="not a regular file but a pipe"):
        scan([tmp_path])
