"""Disks that are slow or full, and pictures that cannot be stored."""

import threading

from protege.core import SessionInfo, SessionWriter
from protege.errors import ProtegeError
from protege.recorder.pipeline import QUEUE_FRAMES, FramePipeline
from tests.fakes import FakeCapture, FakeClock
from tests.recorder.test_recorder import Game


class SlowWriter(SessionWriter):
    """A disk that takes no frame until it is told to."""

    gate = threading.Event()

    def frame(self, t_ns, jpeg):
        self.gate.wait(10)
        return super().frame(t_ns, jpeg)


def test_a_slow_disk_drops_and_counts_frames_and_never_blocks(tmp_path):
    writer = SlowWriter.create(tmp_path, SessionInfo())
    pipeline = FramePipeline(writer, (64, 48))
    screen = FakeCapture(FakeClock())
    for _ in range(QUEUE_FRAMES + 20):
        pipeline.put(*screen.grab_bgra())
    assert 19 <= pipeline.dropped <= 20
    writer.gate.set()
    pipeline.close()
    assert pipeline.written + pipeline.dropped == QUEUE_FRAMES + 20
    writer.finish()


class FullDisk(SessionWriter):
    def frame(self, t_ns, jpeg):
        raise OSError(28, "No space left on device")


def test_a_full_disk_ends_the_recording_with_one_line(tmp_path):
    writer = FullDisk.create(tmp_path, SessionInfo())
    pipeline = FramePipeline(writer, (64, 48))
    pipeline.put(*FakeCapture(FakeClock()).grab_bgra())
    pipeline.close()
    assert isinstance(pipeline.error, ProtegeError)
    assert "No space left on device" in str(pipeline.error)
    writer.finish()


def test_a_disk_that_is_full_when_it_is_closed_is_said_and_the_session_can_be_read(tmp_path):
    class FullAtTheEnd(SessionWriter):
        failed = False

        def finish(self, dropped=0, extra=None):
            if not self.failed:
                self.failed = True
                raise OSError(28, "No space left on device")
            return super().finish(dropped, extra)

    game = Game(tmp_path, writer=FullAtTheEnd)
    game.recorder.toggle()
    game.frames(3)
    session = game.finish()
    assert (len(session), session.info.status) == (3, "complete")
    assert "No space left on device" in str(game.recorder.error)


def test_a_picture_that_cannot_be_encoded_ends_it_with_one_line(tmp_path):
    class Refusing(SessionWriter):
        def frame(self, t_ns, jpeg):
            raise ValueError("no such picture")

    writer = Refusing.create(tmp_path, SessionInfo())
    pipeline = FramePipeline(writer, (64, 48))
    pipeline.put(*FakeCapture(FakeClock()).grab_bgra())
    pipeline.close()
    assert "cannot store a picture (no such picture); recording ended" in str(pipeline.error)
    writer.finish()
