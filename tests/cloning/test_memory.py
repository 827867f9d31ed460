"""A step's memory is reused by the next step."""

import subprocess
import sys
from typing import Final

CODE: Final = """
import resource, sys
import jax, jax.numpy as jnp
from protege.cloning.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
step = jax.jit(lambda x: jnp.roll(x, 1, axis=0) + 1)
x = jnp.zeros((16, 1024, 1024))  # 64 MB: more than glibc ever keeps by itself
for _ in range(40):
    x = step(x).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    x = step(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
ARRAY: Final = 64 * 1024 // 4
"""Pages of one array."""


def faults(how: str) -> int:
    """Pages that eight later steps of a process touched for the first time."""
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_later_steps_touch_no_new_pages() -> None:
    assert faults("as it is") >= 8 * ARRAY
    assert faults("keep") <= 2 * ARRAY
