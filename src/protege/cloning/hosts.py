"""Training one model in several processes, on one host or many: meeting, barriers, and checks that they agree.

Every function here but `first` is a collective: each process must call it, as often and in the same order.
"""

import itertools
import logging
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from protege.cloning.config import AUTO, SystemConfig
from protege.cloning.steps import Devices
from protege.errors import ProtegeError, UserError
from protege.learn.interrupt import Asked

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_S: Final = 7 * 24 * 3600
"""Timeout of a barrier, in seconds: another process may be copying its episodes."""
LOST_S: Final = 60
"""Seconds that a failed process waits for the others to end; then all of them are ended."""
_turns = itertools.count()


def join(system: SystemConfig) -> None:
    """Meet the other processes at `system.coordinator`; does nothing without one. Must run before any other JAX call.

    ProtegeError where they cannot meet.
    """
    if system.coordinator is None or jax.distributed.is_initialized():
        return
    jax.config.update("jax_enable_preemption_service", False)  # it would catch SIGTERM, and the process would not end
    address = None if system.coordinator == AUTO else system.coordinator
    log.info("meeting the other processes at system.coordinator=%s (five minutes at most)", system.coordinator)
    try:
        jax.distributed.initialize(address, system.num_processes, system.process_id, shutdown_timeout_seconds=LOST_S)
        number = jax.process_count()  # a second meeting, and here: it times out after two minutes
    except (RuntimeError, ValueError) as error:
        raise ProtegeError(
            f"system.coordinator={system.coordinator}: {str(error).splitlines()[0][:200].rstrip('.')}; start every "
            "process with the same address, a system.process_id of its own, and as many as system.num_processes says"
        ) from error
    log.info("process %d of %d, %d device(s) in all", jax.process_index(), number, jax.device_count())


def first() -> bool:
    """Whether this is the primary process, which alone writes shared files; true where it is the only one."""
    return jax.process_index() == 0


def together(work: Callable[[], T]) -> T:
    """A barrier: run `work` and return its result once every process has run it.

    Its own error where it fails here, ProtegeError where it failed in another process: all of them stop.
    """
    if jax.process_count() == 1:
        return work()
    failed = True
    try:
        made = work()
        failed = False
    finally:  # after a failure, too: the others would wait for this process for ever
        arrive = multihost.get_barrier_sync_fn()
        arrive(key=f"protege/{next(_turns)}", timeout_ms=LONGEST_S * 1000)
        found = multihost_utils.process_allgather(np.array(failed))
    if found.any():
        raise ProtegeError(f"stopped, since process {int(np.argmax(found))} did; its own message says why")
    return made


def require_alike(parts: Mapping[str, object]) -> None:
    """UserError that names the parts that differ between processes, which would deadlock or train different models."""
    if jax.process_count() == 1:
        return
    own = np.array([zlib.crc32(repr(part).encode()) for part in parts.values()], np.uint32)
    found = multihost_utils.process_allgather(own)
    differ = [name for name, alike in zip(parts, (found == found[0]).all(0), strict=True) if not alike]
    if differ:
        raise UserError(
            f"not the same in all processes: {', '.join(differ)}; start them with one configuration and one data set, "
            "each with a system.process_id of its own, and training.checkpoint_dir on a disk that all of them see"
        )


def require_shared(name: str, folder: Path) -> None:
    """UserError unless all processes see the same folder, or its nearest existing parent. name: the setting's."""
    if jax.process_count() == 1:
        return
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    probe = there / f".{folder.name}.shared"
    together(lambda: probe.touch() if first() else None)
    try:
        require_alike({name: probe.exists()})
    finally:
        if first():
            probe.unlink(missing_ok=True)


class Stop:
    """Whether any process was asked to stop; all of them leave the loop after the same step.

    Call it once a step, in every process. With several, the answer is that of the call before, which has arrived by
    now, so that no step waits for it. agreed: the last answer.
    """

    def __init__(self, asked: Asked, devices: Devices) -> None:
        """asked: of this process."""
        self.agreed = False
        self._asked, self._devices = asked, devices
        self._any = jax.jit(jnp.any, out_shardings=devices.same)
        self._before: jax.Array | None = None

    def __call__(self) -> bool:
        if jax.process_count() == 1:
            self.agreed = bool(self._asked)
            return self.agreed
        self.agreed = self._before is not None and bool(self._before)
        own = np.full(self._devices.number, bool(self._asked))
        self._before = self._any(self._devices.place({"asked": own})["asked"])
        return self.agreed
