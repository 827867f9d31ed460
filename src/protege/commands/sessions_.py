"""`protege sessions`."""

from pathlib import Path

import click

from protege.commands.types import Seconds, examples
from protege.core.paths import project_root, raw_playthrough, shown
from protege.core.text import one_line, printable

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group(
    "sessions",
    invoke_without_command=True,
    epilog=examples(
        "protege sessions                                   list dataset/raw_playthrough",
        "protege sessions --in dataset/raw_playthrough/level1   one recording, with every reason of its verdict",
        "protege sessions trim dataset/raw_playthrough/level1 --from 0:05 --to 3:30",
    ),
)
@click.option("--in", "root", type=FOLDER, help="Folder of sessions, or one session. Default: dataset/raw_playthrough.")
@click.pass_context
def command(ctx: click.Context, root: Path | None) -> int:
    """List recordings; watch, trim, split, merge and delete them."""
    if ctx.invoked_subcommand is not None:
        return 0
    from protege.core.quality import assess, shares_text, table, verdict_text
    from protege.core.session import Session
    from protege.recorder.editing import list_sessions

    root = root or raw_playthrough()
    if (root / "session.json").exists():
        click.echo(printable(table(assess(Session.open(root)))))
        return 0
    rows = list_sessions(root) if root.exists() else []
    if not rows:
        click.echo(f"no recordings in {shown(root)}; make one with: protege record")
        return 0
    names = [one_line(row.folder.name) for row in rows]
    width = max(map(len, names))
    click.echo(f"{'name':<{width}}  minutes    fps  frames  verdict     keys")
    for name, row in zip(names, rows, strict=True):
        if row.problem is not None:
            click.echo(f"{name:<{width}}  cannot be read: {one_line(row.problem)}")
            continue
        keys = one_line(shares_text(row.key_shares or {}))
        verdict = verdict_text(row.verdict)
        click.echo(f"{name:<{width}}  {row.minutes:7.1f}  {row.fps:5.1f}  {row.frames:6d}  {verdict:<10}  {keys}")
    return 1 if any(row.problem is not None for row in rows) else 0


@command.command(
    "watch",
    epilog=examples(
        "protege sessions watch level1                      level1.mp4, with the keys drawn below",
        "protege sessions watch level1 --from 0:10 --to 0:20 --out level1.webp",
    ),
)
@click.argument("session", type=click.Path(path_type=Path))
@click.option("--from", "start", type=Seconds(), default="0", help="First moment to show.")
@click.option("--to", "stop", type=Seconds(), help="First moment to leave out. Default: the end.")
@click.option("--out", type=click.Path(path_type=Path), help="An .mp4 or a .webp. Default: NAME.mp4, here.")
def watch(session: Path, start: float, stop: float | None, out: Path | None) -> None:
    """Make a film of a recording, with the keys and the motion of the mouse drawn on."""
    from protege.commands.progress import bar
    from protege.recorder.film import film

    found = find(session)
    out = out or Path(f"{found.resolve().name}.mp4")
    with bar("pictures") as progress:
        pictures = film(found, out, start_s=start, stop_s=stop, progress=progress)
    click.echo(f"{shown(out)}: {pictures} pictures")


REPLACE = click.option("--replace", is_flag=True, help="Move the old recording to .trash beside it.")


@command.command("trim", epilog=examples("protege sessions trim level1 --from 0:05 --to 3:30 --replace"))
@click.argument("session", type=click.Path(path_type=Path))
@click.option("--from", "start", type=Seconds(), default="0", help="First moment to keep.")
@click.option("--to", "stop", type=Seconds(), help="First moment to leave out. Default: the end.")
@REPLACE
def trim(session: Path, start: float, stop: float | None, replace: bool) -> None:
    """Keep a part of a recording."""
    from protege.recorder import editing

    click.echo(shown(editing.trim(find(session), start, stop, replace=replace)))


@command.command("split", epilog=examples("protege sessions split level1 --at 1:00 --at 2:30"))
@click.argument("session", type=click.Path(path_type=Path))
@click.option("--at", "at", type=Seconds(), multiple=True, required=True, help="Where to cut; may be repeated.")
@REPLACE
def split(session: Path, at: tuple[float, ...], replace: bool) -> None:
    """Cut a recording into parts."""
    from protege.recorder import editing

    for part in editing.split(find(session), at, replace=replace):
        click.echo(shown(part))


@command.command("merge", epilog=examples("protege sessions merge level1 level2 --name levels"))
@click.argument("sessions", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--name", required=True, help="Name of the new recording.")
@REPLACE
def merge(sessions: tuple[Path, ...], name: str, replace: bool) -> None:
    """Join recordings, in the given order, into one."""
    from protege.recorder import editing

    click.echo(shown(editing.merge([find(session) for session in sessions], name, replace=replace)))


@command.command("delete", epilog=examples("protege sessions delete level1", "protege sessions delete level1 --purge"))
@click.argument("sessions", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--purge", is_flag=True, help="Remove for good instead of moving to .trash.")
def delete(sessions: tuple[Path, ...], purge: bool) -> None:
    """Move recordings to .trash, from where they can be taken back."""
    from protege.recorder import editing

    kept = editing.delete_all([find(session) for session in sessions], purge=purge)
    for session, where in zip(sessions, kept, strict=True):
        click.echo(printable(f"{session.name}: ") + ("removed" if where is None else f"now in {shown(where)}"))


def find(session: Path) -> Path:
    """A recording by its path, or by its name alone."""
    from protege.core.transaction import settle

    named = raw_playthrough() / session
    for root in {session.parent, named.parent}:
        settle(root)  # what a killed edit had decided may be just this recording
    if not session.exists() and len(session.parts) == 1 and named.exists():
        return named
    if not session.exists():
        where = shown(project_root() / "dataset" / "raw_playthrough")
        raise click.UsageError(f"no recording {session} here or in {where}; list them with: protege sessions")
    return session
