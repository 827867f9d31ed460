"""Serves the studio on this machine until it is interrupted."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn

from protege.errors import UserError
from protege.studio.app import make_app
from protege.studio.gate import Gate

HOST: Final = "127.0.0.1"


def serve(root: Path, port: int, ready: Callable[[Gate], None]) -> None:
    """Serve the project in `root`; port: 0 takes a free one. ready: told the address when browsers may come.

    UserError if the port is taken.
    """
    with listening(port) as (listener, gate):
        ready(gate)
        server(root, gate).run(sockets=[listener])


@contextmanager
def listening(port: int) -> Iterator[tuple[socket.socket, Gate]]:
    """A socket that browsers of this machine can reach, and the gate for what is served there."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port {port}: {error.strerror}; give another, or 0 for any that is free") from None
        listener.listen(64)
        yield listener, Gate(listener.getsockname()[1])


def server(root: Path, gate: Gate) -> uvicorn.Server:
    """The server of a project; `run(sockets=…)` serves until a signal or `should_exit`."""
    return uvicorn.Server(
        uvicorn.Config(
            make_app(root, gate),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
    )
