"""`protege controls`."""

import json
import sys
from pathlib import Path

import click

from protege.commands.types import examples
from protege.play.paths import shown

RECORDINGS = Path("recordings")


@click.group(
    "controls",
    epilog=examples("protege controls synth", "protege controls inspect recordings"),
)
def command() -> None:
    """The five-head control transformer: pose, hands and game state in, 28 Minecraft controls out."""


@command.command(
    "synth",
    epilog=examples("protege controls synth", "protege controls synth --recordings 4 --frames 600 --type combat"),
)
@click.option("--recordings", type=click.IntRange(1), default=12, show_default=True, help="How many.")
@click.option("--frames", type=click.IntRange(30), default=3000, show_default=True, help="Length of each.")
@click.option("--type", "session_type", help="movement, combat, inventory or mixed. Default: each in turn.")
@click.option("--noise", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Of landmarks, in metres.")
@click.option("--missing", type=click.FloatRange(0, 0.9), default=0.1, show_default=True, help="Of the hands' time.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the first recording.")
@click.option("--out", type=click.Path(path_type=Path), default=RECORDINGS, show_default=True, help="Folder.")
def synth(
    recordings: int, frames: int, session_type: str | None, noise: float, missing: float, seed: int, out: Path
) -> None:
    """Make recordings of a simulated player, to try everything out without a camera."""
    from protege.controls.synth import SynthOptions, write_recordings

    options = SynthOptions(frames=frames, noise=noise, missing=missing)
    written = write_recordings(out, recordings, seed, session_type, options)
    with click.progressbar(written, length=recordings, label="recordings", file=sys.stderr) as bar:
        count = sum(1 for _ in bar)
    click.echo(f"{shown(out)}: {count} recordings of {frames} frames")


@command.command(
    "inspect",
    epilog=examples("protege controls inspect recordings", "protege controls inspect recordings/a.npz --json"),
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
def inspect(files: tuple[Path, ...], json_: bool) -> int:
    """What is in recordings (.npz, or folders of them): frames, modes, how often each control is used, missing hands.

    Exit code 1 if one of them cannot be used.
    """
    from protege.controls.inspect import inspect
    from protege.controls.recordings import recording_files

    good, bad = inspect(recording_files(files))
    if json_:
        recordings = [summary.to_json() for summary in good]
        skipped = [{"path": str(skip.path), "reason": skip.reason} for skip in bad]
        click.echo(json.dumps({"recordings": recordings, "skipped": skipped}))
    else:
        for summary in good:
            click.echo("\n".join(summary.lines()))
    for skip in bad:
        click.echo(f"skipped {shown(skip.path)}: {skip.reason}", err=True)
    return 1 if bad or not good else 0
