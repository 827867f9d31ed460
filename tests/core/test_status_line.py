"""Work that takes long says that it goes on, and nothing while it says something itself."""

import io
import threading

from protege.core.status_line import heartbeat


class Heard(io.StringIO):
    """A stream that one can wait for."""

    def __init__(self):
        super().__init__()
        self.lines = threading.Semaphore(0)

    def flush(self):
        self.lines.release()


def test_silent_work_says_that_it_goes_on_and_the_streams_are_as_before():
    out = Heard()
    with heartbeat(out, silent_s=0.02):
        assert out.lines.acquire(timeout=20)
        assert out.lines.acquire(timeout=20)
    assert [line.split(",")[0] for line in out.getvalue().splitlines()[:2]] == ["still at work"] * 2
    assert "write" not in vars(out)
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_work_that_says_something_is_not_talked_over():
    out, other = Heard(), io.StringIO()
    with heartbeat(out, other, silent_s=1000):
        other.write("step 1\n")
        print("step 2", file=out)
    assert (other.getvalue(), out.getvalue()) == ("step 1\n", "step 2\n")
