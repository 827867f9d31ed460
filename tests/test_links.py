"""Links that lead to themselves, where a file or a folder is expected."""

import pytest

from protege import cli


@pytest.mark.parametrize("args", [["controls", "inspect", "."], ["export", "--merge", ".", "--out", "loop.npz"]])
def test_a_link_to_itself_is_one_line(tmp_path, monkeypatch, capsys, args):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    assert cli.run(args) in (1, 2)
    line = capsys.readouterr().err
    assert len(line.splitlines()) == 1
    assert "internal error" not in line
