"""core/files on Windows, where an open file cannot be replaced and a lock is one of bytes."""

import subprocess
import sys
import threading
import time

import pytest

from protege.core import files
from protege.core.files import Locked, locked, staged, write_json, write_text

HOLD = """
import sys, time
from pathlib import Path
from protege.core.files import locked
with locked(Path(sys.argv[1]), "protege label"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_file_that_somebody_reads_is_replaced_when_it_is_closed(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, 1)
    reader = path.open("rb")
    closing = threading.Timer(0.5, reader.close)
    closing.start()
    write_json(path, 2)
    closing.join()
    assert files.read_json(path) == 2
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


def test_one_that_stays_open_is_left_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with path.open("rb"), pytest.raises(PermissionError):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_takes_the_place_of_another(tmp_path):
    folder = tmp_path / "уровень"
    for number in range(2):
        with staged(folder, "test", replace=True) as part:
            (part / "file").write_text(str(number))
    assert (folder / "file").read_text() == "1"
    assert [found.name for found in tmp_path.iterdir() if not found.name.endswith(".lock")] == ["уровень"]


def test_the_second_command_is_told_who_writes_and_a_kill_lets_go(tmp_path):
    folder = tmp_path / "data"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline().strip() == b"held"
    with pytest.raises(Locked, match="protege label"), locked(folder, "second"):
        pass
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    end = time.monotonic() + 5
    while True:
        try:
            with locked(folder, "third"):
                break
        except Locked:
            assert time.monotonic() < end
