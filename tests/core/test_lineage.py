"""Every frame of play counts once, and relatives are known as such, however often a recording was edited."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.core import Session, SessionInfo, SessionWriter, encode_jpeg
from protege.core.files import write_json
from protege.core.lineage import families, is_edited, origins
from protege.core.once import Claims
from protege.core.session import SessionError, frame_path, repair
from protege.recorder.editing import merge, split, trim

PERIOD = 100_000_000
JPEG = encode_jpeg(np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3))


def record(root, name="s", frames=10, wall_ns=0):
    clock = {"wall_ns": wall_ns, "monotonic_ns": wall_ns}
    writer = SessionWriter(root / name, SessionInfo(frame_size=(32, 24), clock=clock))
    for i in range(frames):
        writer.frame(i * PERIOD, JPEG)
    return writer.finish()


def play(folder):
    """The (recording, frame number) of every frame."""
    return [(o.session, n) for o in origins(Session.open(folder)) for n in range(*o.frames)]


def left_out(*folders):
    """For each session the frames that another has, too: (start, stop, whose); what no edit made keeps its own."""
    claims, sessions = Claims(), [Session.open(folder) for folder in folders]
    found = [[] for _ in folders]
    for number in sorted(range(len(folders)), key=lambda n: (is_edited(sessions[n].info), n)):
        for part, origin in enumerate(origins(sessions[number])):
            theirs = claims.take([origin], f"{number} {part}")
            found[number] += [(start, stop, folders[int(who.split()[0])].name) for start, stop, who in theirs]
    return found


def recordings(folder):
    return {origin.recording for origin in origins(Session.open(folder))}


def as_an_earlier_version_wrote(folder):
    """The edit without the field that names its origins."""
    fields = json.loads((folder / "session.json").read_text())
    assert fields["extra"].pop("origin")
    write_json(folder / "session.json", fields)
    return folder


@pytest.fixture(params=["origin", "names of parents"])
def written(request):
    return (lambda folder: folder) if request.param == "origin" else as_an_earlier_version_wrote


def test_through_several_edits_every_frame_knows_where_it_was_recorded(tmp_path, written):
    a, b = record(tmp_path, "a"), record(tmp_path, "b", frames=5)
    assert play(a) == [("a", n) for n in range(10)]
    trimmed = written(trim(a, 0.2, 0.8))
    merged = written(merge([b, trimmed], "m"))
    first, second = (written(part) for part in split(merged, [2.0]))
    expected = [*(("b", n) for n in range(5)), *(("a", n) for n in range(2, 8))]
    assert play(merged) == expected
    assert play(first) + play(second) == expected
    assert [o.times_ns for o in origins(Session.open(merged))] == [(0, 4 * PERIOD), (2 * PERIOD, 7 * PERIOD)]


def test_a_part_that_replaced_its_parent_knows_it_in_the_trash(tmp_path, written):
    folder = written(trim(record(tmp_path, "a"), 0.5, replace=True))
    folder = written(trim(folder, 0.2, replace=True))
    assert folder.name == "a"
    assert play(folder) == [("a", n) for n in range(7, 10)]


def test_repairs_before_and_after_an_edit_leave_frames_their_numbers(tmp_path):
    folder = record(tmp_path)
    frame_path(folder, 3).unlink()
    repair(folder)
    part = trim(folder, 0.2)
    assert play(part) == [("s", n) for n in (2, 4, 5, 6, 7, 8, 9)]
    frame_path(part, 2).unlink()
    repair(part)
    assert play(part) == [("s", n) for n in (2, 4, 6, 7, 8, 9)]
    assert left_out(folder, part) == [[], [(0, 1, "s"), (1, 2, "s"), (2, 6, "s")]]


def test_a_part_beside_its_whole_counts_once(tmp_path, written):
    whole = record(tmp_path)
    part = written(trim(whole, 0.3))
    assert left_out(part, whole) == [[(0, 7, "s")], []]
    middle = written(trim(whole, 0.2, 0.5))
    assert left_out(part, middle) == [[], [(1, 3, "s_trim")]]


def test_a_renamed_whole_and_a_copy_are_known_by_the_moment_they_were_recorded(tmp_path):
    whole = record(tmp_path, wall_ns=1_700_000_000_000_000_000)
    part = trim(whole, 0.3)
    renamed = whole.rename(tmp_path / "another")
    assert left_out(part, renamed) == [[(0, 7, "another")], []]


def test_a_recording_merged_with_itself_counts_once(tmp_path):
    a = record(tmp_path, "a")
    assert left_out(merge([a, a], "m")) == [[(10, 20, "m")]]


@settings(max_examples=30)
@given(data=st.data())
def test_what_is_left_after_the_doubles_is_every_frame_of_play_once(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("root")
    folders = [record(root, "a", 6), record(root, "b", 5)]
    for number in range(data.draw(st.integers(1, 4))):
        source = data.draw(st.sampled_from(folders))
        if data.draw(st.booleans()):
            length = len(Session.open(source))
            folders.append(trim(source, data.draw(st.integers(0, length - 1)) / 10).rename(root / f"t{number}"))
        else:
            folders.append(merge([source, data.draw(st.sampled_from(folders))], f"m{number}"))
    folders = data.draw(st.permutations(folders))
    kept = []
    for folder, theirs in zip(folders, left_out(*folders), strict=True):
        out = {i for start, stop, _ in theirs for i in range(start, stop)}
        kept += [frame for i, frame in enumerate(play(folder)) if i not in out]
    assert sorted(kept) == [*(("a", n) for n in range(6)), *(("b", n) for n in range(5))]


def test_relatives_are_one_family_also_through_a_third(tmp_path):
    a, b, c = (record(tmp_path, name) for name in "abc")
    merged = merge([trim(a, 0.5), trim(b, 0.5)], "m")
    known = [recordings(folder) for folder in (a, b, c, merged)]
    one, two, other, four = families(known)
    assert one == two == four
    assert other != one
    assert families(known[:3]) != [one] * 3
    assert len(set(families(known[:3]))) == 3


def test_a_piece_knows_which_frames_it_has(tmp_path):
    assert [o.frames for o in origins(Session.open(record(tmp_path)), 4, 8)] == [(4, 8)]


CLIP = {"session": "s", "frames": [0, 5], "shift_ns": 0}


@pytest.mark.parametrize(
    "extra",
    [
        {"origin": 3},
        {"origin": []},
        {"origin": [{}]},
        {"origin": [{"start": 0, "stop": 10**18}]},
        {"edited": []},
        {"edited": {"from": [CLIP]}},
        {"edited": {"from": [CLIP | {"frames": [0, 2**80]}]}},
        {"edited": {"from": [CLIP | {"session": 3}]}},
        {"edited": {"from": None}},
    ],
)
def test_a_false_claim_about_origins_is_named(tmp_path, extra):
    folder = record(tmp_path)
    replace(Session.open(folder).info, extra=extra).save(folder)
    with pytest.raises(SessionError, match=r"session\.json: extra says of which recordings"):
        origins(Session.open(folder))


def test_parents_that_name_each_other_or_a_folder_elsewhere_are_no_way_out(tmp_path):
    for name, other in (("a", "b"), ("b", "a"), ("c", "../../a")):
        folder = record(tmp_path, name)
        edited = {"edited": {"how": "trim", "from": [{"session": other, "frames": [0, 10], "shift_ns": 0}]}}
        replace(Session.open(folder).info, extra=edited).save(folder)
        assert len(origins(Session.open(folder))) == 1
