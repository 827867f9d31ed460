"""`protege studio`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from protege.commands.types import Count, examples
from protege.core.paths import project_root


@click.command(
    "studio",
    epilog=examples(
        "protege studio                              where you are, and all of it to look at",
        "protege studio --no-browser --port 8765     print the address, open nothing",
    ),
)
@click.option("--port", type=Count(0, 65_535), default=0, show_default=True, help="On this machine only; 0: any free.")
@click.option("--page", type=click.Choice(["home", "labels", "live"]), default="home", show_default=True)
@click.option("--no-browser", is_flag=True, help="Print the address, and open nothing.")
def command(port: int, page: str, no_browser: bool) -> None:
    """See recordings, correct labels, judge models, and what is next: in your browser.

    Only this machine can reach it, with the token in the address that it prints. Ctrl-C ends it; nothing is lost.
    """
    open_studio("" if page == "home" else page, port, browser=not no_browser)


def open_studio(page: str, port: int = 0, *, browser: bool = True) -> None:
    """Serve the studio until Ctrl-C; page: the one to open, such as "labels"."""
    from protege.studio.gate import Gate
    from protege.studio.serve import serve

    def ready(gate: Gate) -> None:
        address = gate.address.replace("/?", f"/{page}?")
        click.echo(address)
        click.echo("Ctrl-C ends it", err=True)
        if browser:
            click.launch(address)

    serve(project_root(), port, ready)


@contextmanager
def live_page() -> Iterator[None]:
    """Within, the page that follows a run is open in a browser; where nobody sits, a line says how to see it."""
    from protege.studio.browser import can_look

    if not can_look():
        click.echo("see it live: protege studio --page live", err=True)
        yield
        return
    command = [sys.executable, "-m", "protege.cli", "studio", "--page", "live"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr) as studio:
        try:
            yield
        finally:
            studio.terminate()
