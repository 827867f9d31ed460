"""A base is written whole or not at all, by one command at a time; a disk that is full is one line."""

import resource
from contextlib import contextmanager

import pytest

pytest.importorskip("transformers")

from protege import cli
from protege.core.files import Locked, locked
from protege.errors import ProtegeError
from protege.vlm.tiny import build_tiny, copy_base


@contextmanager
def nothing_larger_than(count):
    """As where a disk is full: no file of this process can grow beyond `count` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("make", [copy_base, lambda folder: build_tiny(folder, size="nano")])
def test_a_full_disk_is_one_line_that_names_the_folder(tmp_path, make):
    with nothing_larger_than(100_000), pytest.raises(ProtegeError) as found:
        make(tmp_path / "base")
    assert f"{tmp_path / 'base'}: cannot be written (" in str(found.value)
    assert "\n" not in str(found.value)
    assert not list(tmp_path.iterdir())


def test_two_commands_do_not_write_one_base(tmp_path):
    with locked(tmp_path / "base", "protege tiny-base"), pytest.raises(Locked, match="protege tiny-base"):
        copy_base(tmp_path / "base")
    (tmp_path / "file").write_text("mine")
    assert cli.run(["tiny-base", str(tmp_path / "file")]) == 2
    assert (tmp_path / "file").read_text() == "mine"
