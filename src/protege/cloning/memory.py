"""Settings of the C library's allocator for a process that trains."""

import ctypes
import sys
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_MAX: Final = -4
M_ARENA_MAX: Final = -8
"""Parameters of glibc's mallopt(3)."""
NEVER: Final = 2**31 - 1


def keep_freed_memory() -> None:
    """Keep freed memory in the process for the next step, for the whole process.

    On a CPU a step's large buffers are otherwise mapped anew each time, and the page faults are up to a fifth of its
    work. Does nothing where the C library is not glibc.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)):
        mallopt(parameter, value)
