"""What each system must do for keys, as protocols: press a place, release it, and report what was heard."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from protege.devices.places import Place


class KeyEvent(NamedTuple):
    """What a hook reports of one key.

    place: None for a key that has none in our table; code: the system's number of the physical key; own: whether the
    presser given to the hook did it; t_ns: `time.perf_counter_ns`, stamped in the hook. Auto-repeat is not filtered.
    """

    place: Place | None
    code: int
    down: bool
    own: bool
    t_ns: int


Put = Callable[[KeyEvent], None]
"""Called in the system's thread for every event; it queues and does nothing else."""


class Presser(Protocol):
    """Presses physical keys, for the whole system. For one thread at a time."""

    def press(self, place: Place) -> None:
        """DisplayGone if the system no longer takes keys."""
        ...

    def release(self, place: Place) -> None:
        """Harmless if the key is up. DisplayGone if the system no longer takes keys."""
        ...

    def close(self) -> None:
        """Harmless if the display is gone. Keys that are down stay down."""
        ...


class Hook(Protocol):
    """Hears every key of the machine."""

    @property
    def alive(self) -> bool:
        """False once keys are no longer heard (display gone, hook removed)."""
        ...

    def start(self) -> Mapping[int, Place | None]:
        """Hear from now on; the physical keys that are down already, by code. UserError where keys cannot be heard."""
        ...

    def down(self) -> Mapping[int, Place | None]:
        """The physical keys that are down now by the system's own word, by code; any thread may ask."""
        ...

    def stop(self) -> None:
        """Ends its thread. Harmless if the display is gone."""
        ...
