"""A polite end that comes at a bad moment."""

import os
import signal
import sys

import pytest

from protege.devices.ending import interruptible, uninterrupted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")


def half_way(sent, done):
    with interruptible():
        with uninterrupted():
            with uninterrupted():
                os.kill(os.getpid(), sent)
                done.append("inner")
            done.append("outer")
        done.append("never")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_what_must_not_be_left_half_way(sent):
    done = []
    with pytest.raises(KeyboardInterrupt):
        half_way(sent, done)
    assert done == ["inner", "outer"]


def at_once(done):
    with interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("never")


def test_elsewhere_it_comes_at_once():
    done = []
    with pytest.raises(KeyboardInterrupt):
        at_once(done)
    assert done == []
