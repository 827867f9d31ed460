"""`protege controls`."""

import json
import sys
from pathlib import Path

import click

from protege.commands.types import SEED, Count, Number, examples
from protege.core.paths import shown
from protege.core.text import printable
from protege.errors import UserError

RECORDINGS = Path("recordings")


@click.group(
    "controls",
    epilog=examples("protege controls synth", "protege controls inspect recordings", "protege controls train"),
)
def command() -> None:
    """The five-head control transformer: pose, hands and game state in, 28 Minecraft controls out."""


@command.command(
    "synth",
    epilog=examples("protege controls synth", "protege controls synth --recordings 4 --frames 600 --type combat"),
)
@click.option("--recordings", type=Count(1), default=12, show_default=True, help="How many.")
@click.option("--frames", type=Count(30), default=3000, show_default=True, help="Length of each.")
@click.option("--type", "session_type", help="movement, combat, inventory or mixed. Default: each in turn.")
@click.option("--noise", type=Number(0, 1), default=0.01, show_default=True, help="Of landmarks, in metres.")
@click.option("--missing", type=Number(0, 0.9), default=0.1, show_default=True, help="Of the hands' time.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the first recording.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=RECORDINGS, show_default=True, help="Folder."
)
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

    Exit code 2 if one of them cannot be used.
    """
    from protege.controls.inspect import inspect
    from protege.controls.recordings import recording_files

    found = list(recording_files(files))
    if not found:
        raise UserError(f"{shown(files[0])}: no recordings here; give .npz files or folders of them")
    good, bad = inspect(found)
    if json_:
        recordings = [summary.to_json() for summary in good]
        skipped = [{"path": str(skip.path), "reason": skip.reason} for skip in bad]
        click.echo(json.dumps({"recordings": recordings, "skipped": skipped}))
    else:
        for summary in good:
            click.echo(printable("\n".join(summary.lines())))
    for skip in bad:
        click.echo(f"skipped {shown(skip.path)}: {skip.reason}", err=True)
    return 2 if bad or not good else 0


@command.command(
    "train",
    epilog=examples(
        "protege controls train",
        "protege controls train data.recordings=[recordings] training.epochs=50 output=models/mine",
        "protege controls train curriculum.enabled=true",
        "protege controls train training.loss_weighting=seed000 files=seed000",
    ),
)
@click.option("--config", type=click.Path(path_type=Path), help="A YAML file. Default: that of configs/controls.yaml.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def train(config: Path | None, overrides: tuple[str, ...]) -> int:
    """Train the control transformer on recordings; a run that was stopped goes on with the same command.

    Every value of the config can be changed here, as KEY=VALUE.
    """
    from protege.controls.config import ControlsConfig
    from protege.controls.files import require_torch
    from protege.settings import load_config, to_yaml

    require_torch()
    options = load_config(ControlsConfig, config, overrides, "controls")
    from protege.controls.train import train

    click.echo(to_yaml(options), err=True)
    result = train(options, click.echo, _progress)
    if result.evaluation is None:
        return 130
    click.echo(f"\nbest epoch {result.best_epoch + 1}; on the test recordings:\n{result.evaluation.table()}")
    click.echo(f"model: {shown(result.files.weights)}\nreport: {shown(result.files.page)}")
    return 0


@command.command(
    "evaluate",
    epilog=examples(
        "protege controls evaluate models recordings/synth_0003_mixed.npz",
        "protege controls evaluate models/control_policy_v2.pt more --page scores.html --json",
    ),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--page", type=click.Path(path_type=Path), help="Write the scores and curves of each control here.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
def evaluate(model: Path, files: tuple[Path, ...], page: Path | None, json_: bool) -> None:
    """Score a model on recordings, which should be others than it was trained on.

    Beside it: the model on its own history, as in play, and copying the controls of the frame before.
    """
    from protege.controls.files import require_torch

    require_torch()
    from protege.controls.evaluate import evaluate_files

    found, skipped = evaluate_files(model, files, _progress)
    for line in skipped:
        click.echo(printable(line), err=True)
    click.echo(json.dumps(found.to_json()) if json_ else printable(found.table()))
    if page is not None:
        from protege.controls.report import write_report

        write_report(found, (), page, str(shown(model)))


def _progress(what: str, done: int, of: int) -> None:
    """One line that is written over, where somebody looks at it; the command itself says elsewhere that it goes on."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{what}: {done} of {of}\r", nl=False, err=True)
