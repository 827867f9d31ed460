"""Writing a store: one at a time, whole or not at all, on a disk that is full and killed at any moment."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from protege.cloning.cache import build
from protege.cloning.store import Dataset
from protege.cloning.writer import Writer
from protege.core import NO_KEYS
from protege.core.files import Locked
from tests.cloning.stores import KEYS, actions, frames, store
from tests.full_disk import COMMAND, limited
from tests.labeling.recordings import HOLD, record

PLAYED = [HOLD["w"], HOLD["wr"], NO_KEYS, HOLD["right"]] * 5
EXPORT = ("export", "raw", "--to", "zarr", "--out", "d.zarr", "--size", "32x24")


def test_a_second_writer_is_told_who_writes_and_the_store_is_free_afterwards(tmp_path):
    path = tmp_path / "d.zarr"
    with Writer(path, KEYS, doing="protege export") as writer:
        writer.episode(frames(3), actions(3))
        with pytest.raises(Locked, match=r"d\.zarr: protege export \(process \d+, since .*\) is writing here"):
            Writer(path, KEYS)
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(Locked, match="is writing here"):
            Writer(tmp_path / "link", KEYS)
    with Writer(path, KEYS) as writer:
        assert writer.episode(frames(4), actions(4)) == "episode_1"
    assert not (tmp_path / ".d.zarr.lock").exists()


def test_a_writer_that_could_not_begin_locks_nobody_out(tmp_path):
    path = store(tmp_path / "d.zarr", (3,))
    for _ in range(2):
        with pytest.raises(Exception, match="has the actions"):
            Writer(path, ("x",))
    Writer(path, KEYS).close()


@pytest.mark.parametrize("command", [EXPORT, ("arena", "record", "--zarr", "d.zarr", "--episodes", "1")])
def test_a_second_command_on_one_store_ends_with_code_2(run_protege, tmp_path, command):
    record(tmp_path / "raw", PLAYED, "one")
    with Writer(tmp_path / "d.zarr", KEYS, doing="protege arena record"):
        done = run_protege(*command)
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("protege: ")
    assert "d.zarr: protege arena record (process " in said
    assert "is writing here; wait for it, or stop it" in said


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process")
def test_a_full_disk_is_one_line_that_names_the_store_and_the_same_command_finishes(run_protege, tmp_path):
    record(tmp_path / "raw", PLAYED, "one")
    command = ("export", "raw", "--to", "zarr", "--out", "d.zarr", "--size", "640x480")
    done = limited(tmp_path, COMMAND, *command)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (said,) = done.stderr.strip().splitlines()
    assert said.startswith("protege: d.zarr: File too large; what is finished is kept: make room")
    assert not list((tmp_path / "d.zarr").glob("*episode*"))
    assert run_protege(*command).returncode == 0
    assert [len(episode) for episode in Dataset.open(tmp_path / "d.zarr").episodes] == [20]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process")
def test_a_full_disk_while_the_cache_is_made_names_the_cache(tmp_path):
    store(tmp_path / "d.zarr", (30, 30))
    code = (
        "from protege import cli; from protege.cloning import cache, store;"
        "sys.exit(cli.guarded(lambda: cache.build(store.Dataset.open('d.zarr'))))"
    )
    done = limited(tmp_path, code, limit=20_000)
    assert done.returncode == 1
    (said,) = done.stderr.strip().splitlines()
    assert ".d.zarr.cache: File too large; what is finished is kept: make room" in said
    assert len(build(Dataset.open(tmp_path / "d.zarr")).frames) == 60


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_an_export_killed_at_any_moment_is_finished_by_the_same_command(run_protege, tmp_path):
    for name in ("one", "two", "three"):
        record(tmp_path / "raw", PLAYED * 3, name, pauses=(7,))
    chance = random.Random(3)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-m", "protege.cli", *EXPORT],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while not (tmp_path / "d.zarr" / "part_episode_0").exists() and process.poll() is None:
            if time.monotonic() > until or list((tmp_path / "d.zarr").glob("part_*")):
                break
            time.sleep(0.002)
        time.sleep(chance.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run_protege(*EXPORT).returncode == 0
    dataset = Dataset.open(tmp_path / "d.zarr")
    assert dataset.problems == ()
    assert sorted(str(episode.attributes["session_name"]) for episode in dataset.episodes) == sorted(
        ["one", "two", "three"] * 2
    )
    assert sum(len(episode) for episode in dataset.episodes) == 180
    expected = np.concatenate([episode.actions for episode in dataset.episodes[:2]])
    for at in (2, 4):
        assert np.array_equal(np.concatenate([episode.actions for episode in dataset.episodes[at : at + 2]]), expected)
