"""What cannot be imported: every mistake is one line that says what was found, what was expected and what to do."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from protege.errors import MissingExtra, ProtegeError, UserError
from protege.recorder.importers import import_each
from tests.recorder.foreign import OWAMCAP, import_recordings, origin, video


def text_file(root):
    (root / "a.txt").write_text("hello")
    return root / "a.txt"


def damaged(name, data=b"rubbish, and more than eight bytes of it"):
    def make(root):
        (root / name).write_bytes(data)
        return root / name

    return make


def lone_mcap(root):
    return Path(shutil.copy(OWAMCAP / "0.3.2.mcap", root))


def wrong_video(root):
    video(root / "0.3.2.mkv", frames=2, fps=1)
    return lone_mcap(root)


def foreign_mcap(root):
    from mcap.writer import Writer

    with (root / "x.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        channel = writer.register_channel(topic="/lidar", message_encoding="json", schema_id=0)
        writer.add_message(channel, log_time=1, publish_time=1, data=b"{}")
        writer.finish()
    return root / "x.mcap"


def odd_mcap(root):
    from mcap.writer import Writer

    with (root / "x.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        channel = writer.register_channel(topic="screen", message_encoding="json", schema_id=0)
        writer.add_message(channel, log_time=1, publish_time=1, data=b"{}")
        writer.finish()
    return root / "x.mcap"


def sound_only(root):
    import av

    with av.open(str(root / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    return root / "a.mkv"


def unlabeled(root):
    source = origin(root / "in", [(0, ["w"])])
    (source / "play_0.json").unlink()
    return source


def bad_picture(root):
    source = origin(root / "in", [(0, ["w"])])
    (source / "play_0.jpg").write_bytes(b"rubbish")
    return source


def cut_picture(root):
    source = origin(root / "in", [(0, ["w"])], size=(320, 240))
    path = source / "play_0.jpg"
    path.write_bytes(path.read_bytes()[:600])
    return source


def one_frame(root):
    return origin(root / "in", [(0, ["w"])]) / "play_0.jpg"


def our_own(root):
    return import_recordings(origin(root / "in", [(0, ["w"])]), root / "ours")[0].folder


MISTAKES = {
    "missing": (lambda root: root / "no.mp4", "no.mp4: not found; expected <session>_<ms>.jpg"),
    "a text file": (text_file, "a.txt: not a recording that can be imported; expected"),
    "an empty folder": (lambda root: root, "nothing in it that can be imported; expected"),
    "one frame": (one_frame, "play_0.jpg: one frame of a recording; give its folder: protege import .*in"),
    "our own session": (our_own, "already a session of ours; use it as it is"),
    "no mcap": (damaged("a.mcap"), r"a.mcap: not an mcap file .*; expected a recording made by ocap"),
    "an empty mcap": (damaged("a.mcap", b""), "a.mcap: not an mcap file"),
    "no screen": (foreign_mcap, "no screen messages .topics: /lidar.; expected OWAMcap"),
    "odd messages": (odd_mcap, r"a message is not as OWAMcap writes it \(KeyError\('pts'\)\); expected version"),
    "no video beside": (lone_mcap, r"0.3.2.mcap: its video 0.3.2.mkv is not beside it; copy it into"),
    "another video": (wrong_video, "0.3.2.mkv: no picture of it is named in 0.3.2.mcap; expected the video of that"),
    "no video": (damaged("a.mp4"), "a.mp4: not a video that can be read .*; expected mp4 or mkv"),
    "sound only": (sound_only, "a.mkv: no video stream in it; expected a recording of the screen"),
    "no labels": (unlabeled, "no frame of session play has a readable .json with action_sequence beside it"),
    "no picture": (bad_picture, "play_0.jpg: cannot be read .*; expected a JPEG"),
    "a cut picture": (cut_picture, "play_0.jpg: cannot be read .*; expected a JPEG"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_in_one_line_and_leaves_nothing(tmp_path, mistake):
    make, message = MISTAKES[mistake]
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match=message) as raised:
        import_recordings(make(tmp_path / "there"), tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "--fps is between 0.1 and 240 frames a second, got 0"),
        ({"fps": 1e-300}, "--fps is between 0.1 and 240 frames a second, got 1e-300"),
        ({"size": (0, 4)}, "--size 0x4: expected sides of 16 to 7680"),
        ({"size": (640, 99999)}, "--size 640x99999: "),
    ],
)
def test_impossible_options_are_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        import_recordings(OWAMCAP, tmp_path, **options)


@pytest.mark.parametrize("kind", ["owamcap", "origin"])
def test_importing_twice_is_refused(tmp_path, kind):
    source = OWAMCAP / "0.3.2.mcap" if kind == "owamcap" else origin(tmp_path / "in", [(0, ["w"])])
    import_recordings(source, tmp_path / "out")
    with pytest.raises(
        UserError, match=r"already there; delete it with: protege sessions delete .*, or write elsewhere"
    ):
        import_recordings(source, tmp_path / "out")


def videos(root):
    """Three recordings, the second of them damaged."""
    for name in ("a.mp4", "c.mp4"):
        video(root / name, frames=3)
    (root / "b.mp4").write_bytes(b"rubbish")
    (root / "._a.mp4").write_bytes(b"what macOS leaves beside every file on a foreign disk")
    return r"1 of 3 recordings cannot be imported; the others are imported and kept: \(1\) .*b.mp4: not a video"


def origins(root):
    for name in ("a", "b", "c"):
        origin(root, [(0, ["w"])], session=name)
    (root / "b_0.jpg").write_bytes(b"rubbish")
    (root / "._a_0.jpg").write_bytes(b"what macOS leaves beside every file on a foreign disk")
    return r"1 of 3 recordings cannot be imported; the others .* kept: \(1\) .*b_0.jpg: cannot be read"


@pytest.mark.parametrize("make", [videos, origins])
def test_one_that_fails_neither_hides_nor_stops_the_others(tmp_path, make):
    (tmp_path / "in").mkdir()
    message = make(tmp_path / "in")
    made = []
    with pytest.raises(UserError, match=message):
        made.extend(done.folder.name for done in import_each(tmp_path / "in", tmp_path / "out"))
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["a", "c"]
    done = import_each(tmp_path / "in", tmp_path / "out2")
    assert next(done).folder.name == "a"
    assert not (tmp_path / "out2" / "c").exists()  # reported as soon as it is there


def test_where_all_fail_nothing_is_said_to_be_kept(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"2 of 2 recordings cannot be imported: \(1\) .*a.mp4.*; \(2\) .*b.mp4"):
        import_recordings(tmp_path, tmp_path / "out")


def test_a_file_that_may_not_be_read_is_one_failure_among_others(tmp_path):
    video(tmp_path / "b.mp4", frames=3)
    (tmp_path / "a.mcap").write_bytes(b"")

    class Forbidden(type(tmp_path)):
        def open(self, *args, **options):
            raise PermissionError(13, "Permission denied", str(self))

        def is_dir(self):
            return True

        def iterdir(self):
            return iter([Forbidden(tmp_path / "a.mcap"), tmp_path / "b.mp4"])

    with pytest.raises(ProtegeError, match=r"1 of 2 .* kept: \(1\) .*a.mcap: Permission denied"):
        import_recordings(Forbidden(tmp_path), tmp_path / "out")
    assert (tmp_path / "out" / "b").exists()


@pytest.mark.parametrize("name", [".hidden", "a:b", " a", "two\nlines"])
def test_a_name_that_no_session_can_have_is_refused(tmp_path, name):
    source = video(tmp_path / f"{name}.mp4", frames=2)
    with pytest.raises(UserError, match=r"expected a short folder name, .*; rename it"):
        import_recordings(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("library", "source"), [("av", "0.3.2.mcap"), ("mcap", "0.3.2.mcap")])
def test_a_missing_library_names_the_extra(tmp_path, monkeypatch, library, source):
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"{library} is not installed; install it with: pip install 'protege\[rec"):
        import_recordings(OWAMCAP / source, tmp_path / "out")
