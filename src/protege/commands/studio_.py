"""`protege studio`."""

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
@click.option("--no-browser", is_flag=True, help="Print the address, and open nothing.")
def command(port: int, no_browser: bool) -> None:
    """See recordings, correct labels, judge models, and what is next: in your browser.

    Only this machine can reach it, with the token in the address that it prints. Ctrl-C ends it; nothing is lost.
    """
    open_studio("", port, browser=not no_browser)


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
