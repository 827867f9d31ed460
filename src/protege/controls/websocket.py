"""The bridge to a game mod: a WebSocket client that never waits for the game and reconnects."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from protege.controls.bridge import Turning, message, read_state
from protege.controls.postprocess import ControlOutput
from protege.controls.state import State
from protege.core.files import Json
from protege.errors import MissingExtra, UserError

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

STALE_S: Final = 0.3
"""A press or a turn that could not be sent for so long is not sent any more."""
LARGEST: Final = 64 * 1024
"""Bytes of a message from the game; a longer one ends the connection, which is then made anew."""


@dataclass
class Traffic:
    """What was sent and heard.

    sent: messages; merged: of them those that were merged with a newer one first.
    states: heard; rubbish: other messages heard.
    connections: made so far.
    """

    sent: int = 0
    merged: int = 0
    states: int = 0
    rubbish: int = 0
    connections: int = 0


@dataclass(frozen=True)
class _Waiting:
    """What is still to be sent, and since when."""

    output: ControlOutput = field(default_factory=ControlOutput)
    turned: tuple[float, float] = (0.0, 0.0)
    since_s: float = 0.0


def _is_websocket(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port out of range
        return False


class WebSocketBridge:
    """Implements `Bridge`. Sending and hearing happen in threads of its own.

    Every message says all that is held, so a lost one does no harm; presses and turns that wait are added up. After a
    broken connection everything is let go of first.
    """

    def __init__(
        self, url: str, retry_s: float = 0.5, patience_s: float = 5.0, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """patience_s: how long the game may take to answer a ping. UserError for a URL that is none."""
        if not _is_websocket(url):
            raise UserError(f"--bridge {url}: expected ws://HOST:PORT, for example ws://127.0.0.1:8765")
        try:
            import websockets.sync.client  # noqa: F401 (said at once if it is missing, not in a thread)
        except ImportError:
            raise MissingExtra("websockets", "controls") from None
        self.url, self.traffic = url, Traffic()
        self._retry_s, self._patience_s, self._clock = retry_s, patience_s, clock
        self._wake = threading.Condition()
        self._waiting: _Waiting | None = None
        self._state: State | None = None
        self._turning = Turning()
        self._number = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="bridge", daemon=True)
        self._thread.start()

    def send(self, output: ControlOutput, time_s: float) -> None:
        turned = self._turning.degrees(output.look, time_s)
        now = self._clock()
        with self._wake:
            before = self._waiting
            if before is not None and before.output.screen_open == output.screen_open:
                self.traffic.merged += 1
                if now - before.since_s < STALE_S:
                    slot = before.output.slot if output.slot is None else output.slot
                    output = replace(output, pressed=output.pressed | before.output.pressed, slot=slot)
                    turned = turned[0] + before.turned[0], turned[1] + before.turned[1]
                    now = before.since_s
            self._waiting = _Waiting(output, turned, now)
            self._wake.notify()

    def state(self) -> State | None:
        with self._wake:
            return self._state

    def release_all(self) -> None:
        with self._wake:
            self._waiting = _Waiting(since_s=self._clock())
            self._wake.notify()

    def close(self) -> None:
        """Send a last message that releases everything, if the game still listens."""
        with self._wake:
            self._waiting = None
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout=self._patience_s + 1)

    def _work(self) -> None:
        from websockets.exceptions import InvalidHandshake, WebSocketException
        from websockets.sync.client import connect

        while not self._closed:
            with suppress(OSError, EOFError, TimeoutError, WebSocketException, InvalidHandshake):
                patience = self._patience_s
                with connect(
                    self.url,
                    open_timeout=patience,
                    close_timeout=1,
                    ping_interval=patience,
                    ping_timeout=patience,
                    max_size=LARGEST,
                    proxy=None,  # the game is on this machine or next to it
                    compression=None,  # costs more time than it saves on messages of 200 bytes
                ) as connection:
                    self._talk(connection)
            with self._wake:
                # What the game said last is out of date once it no longer speaks.
                self._state = None
                self._wake.wait_for(lambda: self._closed, self._retry_s)

    def _talk(self, connection: "ClientConnection") -> None:
        """Send and hear until the connection breaks (raises) or we close."""
        listener = threading.Thread(target=self._hear, args=(connection,), name="bridge-hears", daemon=True)
        listener.start()
        # The game may still hold what an earlier connection pressed.
        connection.send(json.dumps({"type": "release_all", "seq": self._next()}))
        with self._wake:
            self.traffic.connections += 1
        # A broken connection shows first to who reads: sending may go on into the system's buffer for seconds.
        while listener.is_alive():
            with self._wake:
                self._wake.wait_for(lambda: self._waiting is not None or self._closed, 0.2)
                waiting, self._waiting = self._waiting, None
                closed = self._closed
            if closed:
                connection.send(json.dumps({"type": "release_all", "seq": self._next()}))
                return
            if waiting is not None:
                connection.send(json.dumps(self._spell(waiting)))
                self.traffic.sent += 1

    def _spell(self, waiting: _Waiting) -> dict[str, Json]:
        output, turned = waiting.output, waiting.turned
        if self._clock() - waiting.since_s >= STALE_S:
            output, turned = replace(output, pressed=frozenset(), slot=None), (0.0, 0.0)
        return message(output, turned, self._next())

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def _hear(self, connection: "ClientConnection") -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed, OSError):
            for text in connection:
                state = read_state(text)
                with self._wake:
                    if state is None:
                        self.traffic.rubbish += 1
                    else:
                        self.traffic.states += 1
                        self._state = state
