"""Ctrl-C: the first one asks, the second one ends at once, and workers leave it to their owner."""

import os
import signal

import pytest

from protege.learn.interrupt import Stopped, ctrl_c


def test_a_second_ctrl_c_ends_at_once():
    said = []
    with ctrl_c(said.append) as asked:
        assert not asked
        asked.check()
        os.kill(os.getpid(), signal.SIGINT)
        assert asked
        with pytest.raises(Stopped):
            asked.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert len(said) == 1


def test_a_forked_worker_that_a_terminal_interrupts_too_leaves_it_to_its_owner():
    said = []
    with ctrl_c(said.append) as asked:
        worker = os.fork()
        if not worker:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            os._exit(7 if asked or said else 0)
        _, status = os.waitpid(worker, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_signals_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGINT)
    with ctrl_c():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
