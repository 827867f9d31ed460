"""The zarr data set: the reader undoes the writer, reads format 2, and names whatever is wrong with an episode."""

import json
import shutil

import numpy as np
import pytest
import zarr

from protege.cloning.episodes import export_sessions
from protege.cloning.store import Dataset
from protege.cloning.writer import Writer
from protege.core import KEYBOARD_12, NO_KEYS
from protege.core.session import Session
from protege.errors import UserError
from tests.cloning.stores import KEYS, actions, array, frames, store, store_2
from tests.labeling.recordings import HOLD, picture, record


def problem(path, **options):
    """The one problem of a store, and the names of the episodes that are left."""
    dataset = Dataset.open(path, **options)
    (found,) = dataset.problems
    return found, [episode.name for episode in dataset.episodes]


def test_what_was_written_is_read(tmp_path):
    path = store(tmp_path / "d.zarr", lengths=(12, 9), state=5, goals=("Go to a", ""))
    dataset = Dataset.open(path, use_state=True)
    assert (dataset.keys, dataset.goals, dataset.problems, dataset.bgr) == (KEYS, ("Go to a",), (), False)
    assert dataset.attributes == ("s0", "s1", "s2", "s3", "s4")
    assert dataset.frame_size == (16, 12)
    for number, (episode, count) in enumerate(zip(dataset.episodes, (12, 9), strict=True)):
        assert len(episode) == count
        assert np.array_equal(episode.read(0, count), frames(count, number))
        assert np.array_equal(episode.read(3, 5), frames(count, number)[3:5])
        assert np.array_equal(episode.actions, actions(count, number))
        assert episode.state is not None
        assert episode.state.dtype == np.float32
    assert np.array_equal(dataset.episodes[0].goal, [0] * 12)  # pyright: ignore[reportArgumentType]
    assert dataset.episodes[1].goal is None


def test_a_chunk_is_one_frame_with_byte_shuffle(tmp_path):
    found = array(store(tmp_path / "d.zarr", lengths=(3,)), "episode_0/frames")
    assert found.chunks == (1, 3, 12, 16)
    assert [codec.shuffle.name for codec in found.compressors] == ["shuffle"]


def test_a_store_of_format_2_is_read(tmp_path):
    dataset = Dataset.open(store_2(tmp_path / "d.zarr"))
    assert dataset.problems == ()
    assert [len(episode) for episode in dataset.episodes] == [5, 6, 7]
    assert np.array_equal(dataset.episodes[2].read(0, 7), frames(7, 2))
    assert np.array_equal(dataset.episodes[2].actions, actions(7, 2))


def test_blue_first_is_known_from_the_store(tmp_path):
    assert Dataset.open(store_2(tmp_path / "d.zarr", channel_order="bgr")).bgr


def test_episodes_are_in_the_order_of_their_numbers(tmp_path):
    dataset = Dataset.open(store(tmp_path / "d.zarr", lengths=[2] * 11))
    assert [episode.name for episode in dataset.episodes] == [f"episode_{n}" for n in range(11)]


def test_a_gap_in_the_numbers_is_named_and_the_rest_is_used(tmp_path):
    path = store(tmp_path / "d.zarr")
    shutil.rmtree(path / "episode_1")
    found, left = problem(path)
    assert "1 missing in the numbering (episode_1)" in found
    assert left == ["episode_0", "episode_2", "episode_3"]


def test_another_length_is_named(tmp_path):
    path = store(tmp_path / "d.zarr")
    array(path, "episode_2/actions").resize((14, 4))
    found, left = problem(path)
    assert found == f"{path}/episode_2: 15 frames but 14 rows of actions; left out"
    assert left == ["episode_0", "episode_1", "episode_3"]


def test_another_number_of_actions_is_named(tmp_path):
    path = store_2(tmp_path / "d.zarr")
    other = store_2(tmp_path / "o.zarr", lengths=(4,), keys=("x", "y"))
    shutil.copytree(other / "episode_0", path / "episode_3")
    found, left = problem(path)
    assert found == f"{path}/episode_3: 2 actions, the data set names 4; left out"
    assert len(left) == 3


def test_a_store_without_names_gets_some(tmp_path):
    path = store_2(tmp_path / "d.zarr", keys=())
    for number in range(3):
        shutil.rmtree(path / f"episode_{number}")
    other = store_2(tmp_path / "o.zarr", lengths=(4, 5))
    for number in range(2):
        shutil.copytree(other / f"episode_{number}", path / f"episode_{number}")
    dataset = Dataset.open(path)
    assert dataset.keys == ("action_0", "action_1", "action_2", "action_3")
    assert "no attribute keys" in dataset.problems[0]


def test_another_resolution_is_named(tmp_path):
    path = store(tmp_path / "d.zarr")
    other = store(tmp_path / "o.zarr", lengths=(4,), size=(20, 10))
    shutil.copytree(other / "episode_0", path / "episode_4")
    found, left = problem(path)
    assert found == f"{path}/episode_4: frames are 20x10, most are 16x12; left out"
    assert "episode_4" not in left


def test_the_resolution_of_most_frames_counts_not_that_of_most_episodes(tmp_path):
    path = store(tmp_path / "d.zarr", lengths=(2, 2))
    shutil.copytree(store(tmp_path / "o.zarr", lengths=(9,), size=(20, 10)) / "episode_0", path / "episode_2")
    dataset = Dataset.open(path)
    assert [episode.name for episode in dataset.episodes] == ["episode_2"]
    assert len(dataset.problems) == 2


def test_a_new_episode_has_a_number_after_all_others(tmp_path):
    path = store(tmp_path / "d.zarr", lengths=(3, 4))
    shutil.rmtree(path / "episode_0")
    assert Writer(path, KEYS).episode(frames(5, 9), actions(5, 9)) == "episode_2"


def rate(path, number, fps):
    zarr.open_group(path / f"episode_{number}", mode="a").attrs["fps"] = fps


@pytest.mark.parametrize("fps", [20.0, 0, -10.0, "fast", None, float("inf")])
def test_another_rate_is_named(tmp_path, fps):
    """The first episode is the odd one: it must not decide for all."""
    path = store(tmp_path / "d.zarr")
    rate(path, 0, fps)
    found, left = problem(path)
    assert found == f"{path}/episode_0: fps is {20 if fps == 20 else repr(fps)}, that of most frames 10; left out"
    assert left == ["episode_1", "episode_2", "episode_3"]


def test_a_store_whose_episodes_have_no_rate_at_all_is_refused(tmp_path):
    path = store(tmp_path / "d.zarr", lengths=(3, 4))
    for number in range(2):
        rate(path, number, 0)
    with pytest.raises(UserError, match=r"no episode can be used; .*fps is 0"):
        Dataset.open(path)


def test_the_rate_of_most_frames_counts_and_nearly_the_same_is_the_same(tmp_path):
    path = store(tmp_path / "d.zarr", lengths=(3, 4, 20))
    rate(path, 2, 30.0)
    rate(path, 1, 29.97)
    found, left = problem(path)
    assert found.startswith(f"{path}/episode_0: fps is 10, that of most frames 30")
    assert left == ["episode_1", "episode_2"]


def identities(path):
    return [episode.identity for episode in Dataset.open(path).episodes]


def test_episodes_of_another_length_are_others_even_where_nothing_happens(tmp_path):
    writer = Writer(tmp_path / "d.zarr", KEYS)
    for count in (7, 8):
        writer.episode(np.zeros((count, 3, 12, 16), np.uint8), np.zeros((count, 4), bool))
    assert len(set(identities(writer.path))) == 2


def test_an_episode_is_known_by_what_is_in_it(tmp_path):
    path = store(tmp_path / "d.zarr", lengths=(12, 9, 12))
    found = identities(path)
    assert len(set(found)) == 3
    shutil.copytree(path / "episode_0", path / "episode_7")
    moved = path.rename(tmp_path / "moved.zarr")
    assert identities(moved) == [*found, found[0]]


@pytest.mark.parametrize(("name", "row"), [("frames", 0), ("frames", -1), ("actions", 5)])
def test_an_episode_that_is_changed_is_another(tmp_path, name, row):
    path = store(tmp_path / "d.zarr", lengths=(12,))
    (before,) = identities(path)
    values = array(path, f"episode_0/{name}")
    values[row] = ~values[row]
    assert identities(path) != [before]


def chunk(path, number, array="frames"):
    at = f"{number}/0/0/0" if array == "frames" else f"{number}/0"
    return path / "episode_1" / array / "c" / at


@pytest.mark.parametrize("array", ["frames", "actions"])
def test_a_lost_chunk_is_named(tmp_path, array):
    path = store(tmp_path / "d.zarr")
    chunk(path, 0, array).unlink()
    found, left = problem(path)
    assert f"chunks of {array} missing (zarr would read zeros), the first at 0; left out" in found
    assert "episode_1" not in left


@pytest.mark.parametrize("keep", [0, 10, 30])
@pytest.mark.parametrize("version", [2, 3])
def test_a_truncated_chunk_is_named(tmp_path, keep, version):
    path = store(tmp_path / "d.zarr") if version == 3 else store_2(tmp_path / "d.zarr")
    file = chunk(path, 4) if version == 3 else path / "episode_1" / "frames" / "4.0.0.0"
    file.write_bytes(file.read_bytes()[:keep])
    found, left = problem(path)
    assert "chunks of frames truncated, the first at 4; left out" in found
    assert "1 of " in found
    assert "episode_1" not in left


def test_a_chunk_of_a_picture_of_another_size_is_an_error_that_names_it(tmp_path):
    path, other = store(tmp_path / "d.zarr"), store(tmp_path / "o.zarr", size=(10, 8))
    dataset = Dataset.open(path)
    shutil.copy(chunk(other, 4), chunk(path, 4))
    assert "1 of 9 chunks of frames of another size, the first at 4; left out" in problem(path)[0]
    with pytest.raises(UserError, match="the chunk of frame 4 does not hold 576 bytes"):
        dataset.episodes[1].read(0, 9)


def test_a_damaged_chunk_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "d.zarr"
    smooth = np.broadcast_to(np.arange(64, dtype=np.uint8), (6, 3, 64, 64))
    Writer(path, KEYS).episode(smooth, actions(6))
    file = path / "episode_0" / "frames" / "c" / "4" / "0" / "0" / "0"
    whole = file.read_bytes()
    file.write_bytes(whole[:16] + b"\xff" * (len(whole) - 16))
    episode = Dataset.open(path).episodes[0]
    with pytest.raises(UserError, match="episode_0: frames 2 to 5 cannot be decoded"):
        episode.read(2, 5)


def test_missing_state_is_named_and_costs_the_episode_only_where_it_is_wanted(tmp_path):
    path = store(tmp_path / "d.zarr", state=3)
    shutil.rmtree(path / "episode_1" / "state")
    found, left = problem(path)
    assert found.endswith("episode_1: no state; its state is not used")
    assert len(left) == 4
    assert not Dataset.open(path).has_state
    found, left = problem(path, use_state=True)
    assert found.endswith("episode_1: no state; left out")
    assert left == ["episode_0", "episode_2", "episode_3"]
    assert Dataset.open(path, use_state=True).has_state


def test_state_that_is_no_number_or_of_another_width_is_named(tmp_path):
    path = store(tmp_path / "d.zarr", state=3)
    array(path, "episode_0/state")[4, 1] = np.nan
    other = store(tmp_path / "o.zarr", lengths=(9,), state=2)
    shutil.rmtree(path / "episode_1" / "state")
    shutil.copytree(other / "episode_0" / "state", path / "episode_1" / "state")
    first, second = Dataset.open(path, use_state=True).problems
    assert first.endswith("episode_0: state that is no number in frame 4; left out")
    assert second.endswith("episode_1: 2 state columns, the data set names 3; left out")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such data set"),
        (lambda path: path.mkdir(), "not a zarr group"),
        (lambda path: Writer(path, KEYS), "no episode_<number> groups"),
    ],
)
def test_a_store_that_is_none_says_what_to_do(tmp_path, make, message):
    make(tmp_path / "d.zarr")
    with pytest.raises(UserError, match=message):
        Dataset.open(tmp_path / "d.zarr")


def test_a_store_in_which_nothing_can_be_used_names_why(tmp_path):
    path = store(tmp_path / "d.zarr", lengths=(3,))
    shutil.rmtree(path / "episode_0" / "actions")
    with pytest.raises(UserError, match=r"no episode can be used.*no actions array"):
        Dataset.open(path)


def test_the_writer_goes_on_in_a_store_of_its_own_and_refuses_others(tmp_path):
    path = store(tmp_path / "d.zarr", lengths=(3, 4))
    with Writer(path, KEYS) as writer:
        assert writer.episode(frames(5, 2), actions(5, 2)) == "episode_2"
        with pytest.raises(UserError, match="holds frames of 16x12, these are 20x10"):
            writer.episode(frames(5, 2, (20, 10)), actions(5, 2))
        with pytest.raises(ValueError, match="5 actions, but not as many frames"):
            writer.episode(frames(4), actions(5))
    with pytest.raises(UserError, match="has the actions w a d space, these are x"):
        Writer(path, ("x",))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="not a zarr 3 store"):
        Writer(tmp_path / "other", KEYS)
    assert [len(episode) for episode in Dataset.open(path).episodes] == [3, 4, 5]


W, WR, NONE = HOLD["w"], HOLD["wr"], NO_KEYS
PLAYED = [W, W, WR, NONE, W, NONE]


def test_sessions_become_episodes_with_their_goals(tmp_path):
    record(tmp_path / "raw", PLAYED, "one", goals=[(0, "Go to a", 3, "success"), (3, "Go to b", 6, "timeout")])
    record(tmp_path / "raw", PLAYED, "two", pauses=(2,))
    done = export_sessions(tmp_path / "raw", tmp_path / "d.zarr")
    assert (done.episodes, done.frames, done.skipped, done.problems) == (4, 12, 0, ())
    dataset = Dataset.open(tmp_path / "d.zarr")
    assert dataset.keys == KEYBOARD_12.pressable
    assert dataset.goals == ("Go to a", "Go to b")
    assert [len(episode) for episode in dataset.episodes] == [3, 3, 2, 4]
    assert [None if e.goal is None else e.goal[0] for e in dataset.episodes] == [0, 1, None, None]
    assert dataset.episodes[0].attributes["end"] == "success"
    expected = KEYBOARD_12.encode(PLAYED)[:, :-1]
    assert np.array_equal(np.concatenate([e.actions for e in dataset.episodes[:2]]), expected)
    from protege.core import decode_jpeg

    assert np.array_equal(dataset.episodes[1].read(0, 1)[0], decode_jpeg(picture(3)).transpose(2, 0, 1))


def test_what_an_agent_played_becomes_no_episode(tmp_path):
    folder = record(tmp_path / "raw", PLAYED, "run", goals=[(0, "Go to a", 6, "success")])
    lines = (folder / "events.jsonl").read_text().splitlines()
    times = Session.open(folder).t_ns
    by = [(int(times[0]), "agent"), (int(times[2]), "human"), (int(times[5]), "agent")]
    lines += [json.dumps({"t_ns": t_ns, "by": who}) for t_ns, who in by]
    lines.sort(key=lambda line: json.loads(line)["t_ns"])
    (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    assert [span.by for span in Session.open(folder).spans()] == ["agent", "human", "agent"]
    done = export_sessions(tmp_path / "raw", tmp_path / "d.zarr")
    assert (done.episodes, done.frames) == (1, 3)
    (episode,) = Dataset.open(tmp_path / "d.zarr").episodes
    assert np.array_equal(episode.actions, KEYBOARD_12.encode(PLAYED[2:5])[:, :-1])


def test_exporting_again_adds_only_what_is_missing(tmp_path):
    record(tmp_path / "raw", PLAYED, "one", goals=[(0, "Go to a", 3, "success"), (3, "Go to b", 6, "timeout")])
    export_sessions(tmp_path / "raw", tmp_path / "d.zarr", size=(32, 24))
    record(tmp_path / "raw", PLAYED, "two")
    shutil.rmtree(tmp_path / "d.zarr" / "episode_1")  # as a kill between two episodes of a session leaves it
    done = export_sessions(tmp_path / "raw", tmp_path / "d.zarr", size=(32, 24))
    assert (done.episodes, done.skipped) == (3, 0)
    done = export_sessions(tmp_path / "raw", tmp_path / "d.zarr", size=(32, 24))
    assert (done.episodes, done.skipped) == (0, 2)
    dataset = Dataset.open(tmp_path / "d.zarr")
    assert dataset.problems == ()
    assert dataset.frame_size == (32, 24)
    assert [len(episode) for episode in dataset.episodes] == [3, 3, 6]


def test_long_stretches_can_be_cut(tmp_path):
    record(tmp_path / "raw", [W] * 25, goals=[(0, "Go to a", 25, "success")])
    export_sessions(tmp_path / "raw", tmp_path / "d.zarr", cut_s=1.0)
    found = Dataset.open(tmp_path / "d.zarr").episodes
    assert [len(episode) for episode in found] == [8, 9, 8]
    assert [episode.attributes["end"] for episode in found] == ["", "", "success"]


def test_actions_are_moved_by_the_player_s_reaction_time(tmp_path):
    session = Session.open(record(tmp_path / "raw", PLAYED * 3))
    export_sessions(tmp_path / "raw", tmp_path / "d.zarr", tau_ms=200.0)
    (episode,) = Dataset.open(tmp_path / "d.zarr").episodes
    assert np.array_equal(episode.actions, session.actions(200.0)[:, :-1])
    assert not np.array_equal(episode.actions, session.actions(0.0)[:, :-1])


def test_export_mistakes_are_one_line(run_protege, tmp_path):
    record(tmp_path / "raw", PLAYED, "one")
    record(tmp_path / "raw", PLAYED, "video", extra={"keys": False})
    done = run_protege("export", "raw", "--to", "zarr", "--out", "d.zarr", "--size", "32x24")
    assert (done.returncode, done.stdout.strip()) == (0, "d.zarr: 1 episodes, 6 frames")
    assert "raw/video: a video without keys; left out" in done.stderr
    done = run_protege("export", "raw", "--to", "zarr", "--out", "d.zarr", "--size", "40x30")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("d.zarr: holds frames of 32x24, these are 40x30; give --size 32x24")
    done = run_protege("export", "nothing", "--to", "zarr", "--out", "e.zarr")
    assert done.returncode == 2
    assert "nothing: no recordings; make some with" in done.stderr
