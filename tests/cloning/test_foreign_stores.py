"""Stores as other people's programs write them, whole and damaged: read whole, or refused in a line that says why."""

import json
import os
import shutil
import sys
import warnings

import numpy as np
import pytest
import zarr

from protege.cloning.store import Dataset
from protege.errors import UserError
from tests.cloning.stores import array, frames, store, store_2

KEYS = ["w", "a", "s", "d"]


def write(path, change=lambda arrays: arrays, count=6, chunk=8, zarr_format=3, names=None):
    """A store by zarr's defaults: chunks of zeros are not written, Zstandard, no channel order. change: of the arrays
    of episode 3.
    """
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format)  # pyright: ignore[reportArgumentType]
    root.attrs["keys"] = KEYS
    for number in range(count):
        rng = np.random.default_rng(number)
        arrays = {
            "frames": rng.integers(1, 255, (40, 3, 12, 16), dtype=np.uint8),
            "actions": rng.random((40, 4)) < 0.3,
        }
        group = root.create_group(names[number] if names else f"episode_{number}")
        for name, values in (change(arrays) if number == 3 else arrays).items():
            kind, size = values.dtype, (chunk, *values.shape[1:])
            made = group.create_array(name, shape=values.shape, dtype=kind, chunks=size)
            made[:] = values
    return path


def idle(arrays):
    return {**arrays, "actions": np.zeros((40, 4), bool)}


def black(arrays):
    arrays["frames"][7] = 0
    return arrays


def first_goal(arrays):
    return {**arrays, "goal": np.zeros(40, np.int32)}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(("change", "chunk"), [(idle, 8), (black, 1), (first_goal, 8)])
def test_chunks_of_zeros_that_zarr_did_not_write_are_zeros(tmp_path, change, chunk, zarr_format):
    dataset = Dataset.open(write(tmp_path / "d.zarr", change, chunk=chunk, zarr_format=zarr_format))
    assert dataset.problems == ()
    assert len(dataset.episodes) == 6
    assert any("zarr leaves out what holds only zeros" in line for line in dataset.assumed)
    found = dataset.episodes[3]
    expected = change({name: frames_of(3)[name].copy() for name in ("frames", "actions")})
    assert np.array_equal(found.read(0, 40), expected["frames"])
    assert np.array_equal(found.actions, expected["actions"])
    if change is first_goal:
        assert np.array_equal(found.goal, np.zeros(40))  # pyright: ignore[reportArgumentType]


def frames_of(number):
    rng = np.random.default_rng(number)
    made = rng.integers(1, 255, (40, 3, 12, 16), dtype=np.uint8)
    return {"frames": made, "actions": rng.random((40, 4)) < 0.3}


def test_a_black_frame_of_a_store_that_is_read_directly_is_black(tmp_path):
    """As the documents' stores are: one frame a chunk under Blosc."""
    path = store_2(tmp_path / "d.zarr", lengths=(5,))
    (path / "episode_0" / "frames" / "2.0.0.0").unlink()
    (episode,) = Dataset.open(path).episodes
    assert not episode.read(2, 3).any()
    assert np.array_equal(episode.read(3, 5), frames(5, 0)[3:5])


def test_a_lost_chunk_is_told_where_chunks_of_zeros_were_written(tmp_path):
    path = store_2(tmp_path / "d.zarr", lengths=(5, 5))
    with zarr.config.set({"array.write_empty_chunks": True}):
        array(path, "episode_1/frames")[1] = 0
    (path / "episode_1" / "frames" / "3.0.0.0").unlink()
    (found,) = Dataset.open(path).problems
    assert "1 of 5 chunks of frames missing (zarr would read zeros), the first at 3" in found


def test_a_store_most_of_whose_frames_are_gone_is_damaged(tmp_path):
    path = write(tmp_path / "d.zarr", chunk=1)
    for file in list((path / "episode_1" / "frames" / "c").iterdir())[:21]:
        shutil.rmtree(file)
    (found,) = Dataset.open(path).problems
    assert "episode_1: 21 of 40 chunks of frames missing" in found


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_episodes_added_after_the_metadata_were_consolidated_are_there(tmp_path, zarr_format):
    path = write(tmp_path / "d.zarr", zarr_format=zarr_format)
    warnings.simplefilter("ignore")  # format 3 has no consolidated metadata yet, says zarr
    zarr.consolidate_metadata(path)  # pyright: ignore[reportArgumentType]
    for name in ("episode_6", "episode_7"):
        shutil.copytree(path / "episode_1", path / name)
    assert len(Dataset.open(path).episodes) == 8


@pytest.mark.parametrize(
    ("attribute", "value", "says"),
    [
        ("keys", "wasd", r"keys is a text \('wasd'\); expected a list of names such as \['w', 'a'\]"),
        ("keys", ["w", "a", 5, "d"], "keys holds 5, expected names"),
        ("keys", ["w", "a", "\x1b[2J", "d"], "keys holds .*expected names: text that can be printed"),
        ("attributes", 5, r"attributes is a number \(5\); expected a list of names"),
        ("goals", {"a": 1}, "goals is a group"),
        ("channel_order", "grb", "channel_order is 'grb'; expected rgb or bgr"),
        ("channel_order", 5, "channel_order is 5; expected rgb or bgr"),
    ],
)
def test_attributes_that_are_something_else_are_named(tmp_path, attribute, value, says):
    path = write(tmp_path / "d.zarr", count=2)
    zarr.open_group(path, mode="a").attrs[attribute] = value
    with pytest.raises(UserError, match=rf"d\.zarr: the attribute {says}"):
        Dataset.open(path)


def test_a_store_without_a_channel_order_says_what_was_assumed_and_a_setting_changes_it(tmp_path):
    path = write(tmp_path / "d.zarr", count=3)
    dataset = Dataset.open(path)
    (line,) = dataset.assumed
    assert not dataset.bgr
    assert "no channel_order is stored, so red first is assumed" in line
    assert "dataset.channel_order=bgr" in line
    for order in ("rgb", "bgr"):
        told = Dataset.open(path, channel_order=order)
        assert (told.bgr, told.assumed) == (order == "bgr", ())
    zarr.open_group(path, mode="a").attrs["channel_order"] = "bgr"
    assert (Dataset.open(path).bgr, Dataset.open(path).assumed) == (True, ())
    with pytest.raises(UserError, match=r"says that its channel_order is bgr, dataset\.channel_order is rgb"):
        Dataset.open(path, channel_order="rgb")


def test_numbers_with_leading_zeros_are_names_as_they_are(tmp_path):
    path = write(tmp_path / "d.zarr", count=3, names=["episode_000", "episode_001", "episode_10"])
    dataset = Dataset.open(path)
    assert [episode.name for episode in dataset.episodes] == ["episode_000", "episode_001", "episode_10"]
    assert dataset.problems == (
        f"{path}: 8 missing in the numbering (episode_2, episode_3, episode_4, episode_5, episode_6, …); "
        "the others are used",
    )


def test_a_number_beyond_all_others_costs_neither_time_nor_memory(tmp_path):
    path = write(tmp_path / "d.zarr", count=2, names=["episode_0", f"episode_{10**40}"])
    (found,) = Dataset.open(path).problems
    assert found.startswith(f"{path}: {10**40 - 1} missing in the numbering (episode_1, episode_2")


def test_another_array_of_another_length_is_nobody_s_business(tmp_path):
    path = write(tmp_path / "d.zarr", lambda arrays: {**arrays, "audio": np.ones(777, np.float32)})
    assert Dataset.open(path).problems == ()


@pytest.mark.parametrize("name", ["s3://bucket/d.zarr", "gs://bucket/d.zarr", "https://example.org/d.zarr"])
def test_stores_elsewhere_are_not_supported(name):
    with pytest.raises(UserError, match="are not supported; copy it into a folder on this machine"):
        Dataset.open(name)


def test_zip_stores_are_not_supported(tmp_path):
    shutil.make_archive(str(tmp_path / "d.zarr"), "zip", write(tmp_path / "d.zarr", count=1))
    with pytest.raises(UserError, match=r"d\.zarr\.zip: zip stores are not supported; unpack it"):
        Dataset.open(tmp_path / "d.zarr.zip")


def metadata(path, change, name="frames"):
    """Change the metadata of an array of episode 1."""
    file = path / "episode_1" / name / "zarr.json"
    fields = json.loads(file.read_text())
    change(fields)
    file.write_text(json.dumps(fields))


def chunks_of(*sizes):
    return {"name": "regular", "configuration": {"chunk_shape": list(sizes)}}


HOSTILE = [
    ("frames", lambda m: m.update(shape=[10**12, 3, 12, 16])),
    ("frames", lambda m: m.update(shape=[10**30, 3, 12, 16])),
    ("frames", lambda m: m.update(shape=[-40, 3, 12, 16])),
    ("frames", lambda m: m.update(shape="forty")),
    ("frames", lambda m: m.update(shape=[40, 3, 12, 16.5])),
    ("frames", lambda m: m.update(shape=None)),
    ("frames", lambda m: m.update(chunk_grid=chunks_of(0, 3, 12, 16))),
    ("frames", lambda m: m.update(chunk_grid=chunks_of(-8, 3, 12, 16))),
    ("frames", lambda m: m.update(chunk_grid=chunks_of(10**12, 3, 12, 16))),
    ("frames", lambda m: m.update(shape=[40, 3, 10**6, 10**6], chunk_grid=chunks_of(8, 3, 10**6, 10**6))),
    ("frames", lambda m: m.update(chunk_grid=5)),
    ("frames", lambda m: m.update(data_type="float64")),
    ("frames", lambda m: m.update(data_type={"name": "banana"})),
    ("frames", lambda m: m.update(codecs=[])),
    ("frames", lambda m: m.update(codecs=[{"name": "banana"}])),
    ("frames", lambda m: m.update(codecs=7)),
    ("frames", lambda m: m.update(node_type="group")),
    ("frames", lambda m: m.clear()),
    ("actions", lambda m: m.update(shape=[40, 10**12], chunk_grid=chunks_of(8, 4))),
    ("actions", lambda m: m.update(shape=[])),
    ("actions", lambda m: m.update(data_type="complex64", fill_value=[0, 0])),
    ("actions", lambda m: m.update(data_type="string", fill_value="")),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_an_array_that_claims_what_is_not_there_costs_its_episode_and_nothing_else(tmp_path, number):
    path = write(tmp_path / "d.zarr", count=3)
    name, change = HOSTILE[number]
    metadata(path, change, name)
    dataset = Dataset.open(path)
    (found,) = dataset.problems
    assert found.startswith(f"{path}/episode_1: ")
    assert found.endswith("; left out")
    assert "\n" not in found
    assert len(dataset.episodes) == 2


@pytest.mark.parametrize("codec", ["blosc", "zstd"])
def test_a_chunk_that_would_unpack_to_more_than_a_chunk_is_not_unpacked(tmp_path, codec):
    import numcodecs

    path = store(tmp_path / "d.zarr", (3, 3)) if codec == "blosc" else write(tmp_path / "d.zarr", count=2)
    bomb = {"blosc": numcodecs.Blosc("zstd"), "zstd": numcodecs.Zstd()}[codec].encode(np.zeros(200 << 20, np.uint8))
    (path / "episode_1" / "actions" / "c" / "0" / "0").write_bytes(bomb)
    (found,) = Dataset.open(path).problems
    assert "chunks of actions of another size, the first at 0; left out" in found


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in the file system")
@pytest.mark.parametrize(
    "name", ["zarr.json", "episode_1/zarr.json", "episode_1/frames/zarr.json", "episode_1/actions/c/0/0"]
)
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_pipes_and_devices_in_a_store_are_never_read(tmp_path, name, make):
    path = write(tmp_path / "d.zarr", count=2)
    (path / name).unlink()
    make(path / name)
    if name == "zarr.json":
        with pytest.raises(UserError, match=r"not a regular file but a (pipe|device)"):
            Dataset.open(path)
        return
    (found,) = Dataset.open(path).problems
    assert "not a regular file but a" in found


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 100_000, '{"keys": ["\\ud800"]}', "", "null", "[]", "\xff"])
@pytest.mark.parametrize("name", ["zarr.json", "episode_1/zarr.json", "episode_1/frames/zarr.json"])
def test_metadata_that_are_no_json_are_one_line(tmp_path, name, text):
    path = write(tmp_path / "d.zarr", count=2)
    (path / name).write_text(text, encoding="latin-1")
    if name == "zarr.json":
        with pytest.raises(UserError, match="not a zarr group"):
            Dataset.open(path)
        return
    (found,) = Dataset.open(path).problems
    assert found.startswith(f"{path}/episode_1: ")


def test_two_episodes_and_the_documents_own_configuration_train_and_are_scored(tmp_path, caplog):
    from protege.cloning.checkpoint import load_model
    from protege.cloning.evaluate import evaluate
    from protege.cloning.train import train
    from tests.cloning.tiny import run

    path = write(tmp_path / "d.zarr", count=2)
    options = ("training.num_epochs=1", "dataset.channel_order=bgr")
    trained = train(run(path, tmp_path / "model", *options))
    splits = load_model(trained.folder).about["splits"]
    assert [len(splits[part]) for part in ("train", "validation", "test")] == [1, 1, 0]
    found = evaluate(trained.folder)
    assert found.evaluation.about.get("split") == "validation"
    assert "channel_order" not in caplog.text
    with pytest.raises(UserError, match="--split test: the training kept no episodes for it"):
        evaluate(trained.folder, split="test")
    blue_first = found.cache.frames[: len(frames_of(0)["frames"])]
    assert np.array_equal(blue_first, frames_of(0)["frames"][:, ::-1])


def test_training_says_what_it_assumed(tmp_path, caplog):
    from protege.cloning.train import Data
    from tests.cloning.tiny import run

    path = write(tmp_path / "d.zarr", idle, count=6)
    Data.open(run(path, tmp_path / "model", "dataset.train_ratio=0.8", "dataset.val_ratio=0.2"))
    assert caplog.text.count("no channel_order is stored, so red first is assumed") == 1
    assert caplog.text.count("zarr leaves out what holds only zeros") == 1
