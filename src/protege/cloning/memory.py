"""What a process does with memory that a step of training has freed."""

import ctypes
import sys
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_MAX: Final = -4
M_ARENA_MAX: Final = -8
"""Parameters of glibc's mallopt(3)."""
NEVER: Final = 2**31 - 1


def keep_freed_memory() -> None:
    """Reuse freed memory for the next step instead of handing it back to the system, for the whole process.

    On a CPU a step's large buffers are mapped anew each time, and first touching their pages is up to a fifth of its
    work. Does nothing where the C library is not glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)):
            mallopt(parameter, value)
