"""`protege sessions watch`: a recording as a film."""

import io
from pathlib import Path

import pytest
from PIL import Image

from protege import cli
from protege.core import Session
from tests.recorder.foreign import OWAMCAP, import_recordings


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    (made,) = import_recordings(OWAMCAP / "0.4.2.mcap", tmp_path_factory.mktemp("recordings"))
    return made.folder


def test_an_mp4_has_every_picture_at_the_recordings_own_speed(recording, tmp_path, capsys):
    import av

    out = tmp_path / "film.mp4"
    assert cli.run(["sessions", "watch", str(recording), "--out", str(out)]) == 0
    assert "29 pictures" in capsys.readouterr().out
    with av.open(str(out)) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].average_rate == 10
    assert len(frames) == len(Session.open(recording)) == 29
    assert frames[0].width % 2 == frames[0].height % 2 == 0


def test_a_part_of_it_as_webp(recording, tmp_path, capsys):
    out = tmp_path / "film.webp"
    assert cli.run(["sessions", "watch", str(recording), "--from", "1", "--to", "2", "--out", str(out)]) == 0
    capsys.readouterr()
    with Image.open(io.BytesIO(out.read_bytes())) as animated:
        lasts = 0  # equal pictures become one that lasts longer
        for number in range(getattr(animated, "n_frames", 1)):
            animated.seek(number)
            animated.load()
            lasts += animated.info["duration"]
    assert lasts == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--out", "film.gif"], "a film is .mp4 or .webp, got .gif"), (["--from", "60"], "no picture between --from")],
)
def test_what_cannot_be_shown_is_named(recording, tmp_path, options, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["sessions", "watch", str(recording), *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not any(tmp_path.iterdir())
