"""Asks Linux for a short time slice, so that a thread which acts for a millisecond ten times a second wakes at once.

A thread that asks for less at a time is let in sooner when it wakes, on a machine whose cores are all busy with a game
and a model. It gets no more of the processor by it, so anybody may ask (from Linux 6.12 on; others ignore it).
"""

import ctypes
import os
import platform
import struct
import sys
from typing import Final

TURN_NS: Final = 100_000
"""The shortest turn that Linux gives."""

_SET: Final = {"x86_64": 314, "aarch64": 274}
"""The system call sched_setattr; sched_getattr is the one after it."""
_ATTR: Final = "IIQiIQQQ"
"""struct sched_attr: size, policy (0: normal), flags, nice, priority, runtime, deadline, period."""
_NOT_INHERITED: Final = 1


def short_turns() -> None:
    """For the calling thread from now on, and not for what it starts. Does nothing where it cannot."""
    if (call := _call()) is not None:
        # The call sets every field, so what is to stay has to be given again.
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        fields = (struct.calcsize(_ATTR), 0, _NOT_INHERITED, nice, 0, TURN_NS, 0, 0)
        ctypes.CDLL(None).syscall(call, 0, struct.pack(_ATTR, *fields), 0)


def turn_ns() -> int:
    """What the calling thread asks for; 0 where that is not known."""
    if (call := _call()) is None:
        return 0
    found = ctypes.create_string_buffer(struct.calcsize(_ATTR))
    ctypes.CDLL(None).syscall(call + 1, 0, found, len(found), 0)
    return int(struct.unpack(_ATTR, found.raw)[5])


def _call() -> int | None:
    return _SET.get(platform.machine()) if sys.platform == "linux" else None
