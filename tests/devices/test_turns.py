"""Asking the scheduler for short turns."""

import platform
import threading

from protege.devices.turns import TURN_NS, short_turns, turn_ns


def in_a_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def test_short_turns_are_for_one_thread_and_not_for_those_it_starts():
    def asked():
        before = turn_ns()
        short_turns()
        return before, turn_ns(), in_a_thread(turn_ns)

    before, now, started = in_a_thread(asked)
    known = tuple(map(int, platform.release().split(".")[:2])) >= (6, 12) and platform.system() == "Linux"
    assert now == (TURN_NS if known else before)
    assert started == before
