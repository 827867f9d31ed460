"""`protege export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from protege.commands.progress import bar
from protege.commands.types import SEED, Number, Size, examples
from protege.core.paths import labeled_segments, models, raw_playthrough, shown
from protege.core.text import printable

if TYPE_CHECKING:
    from protege.labeling.export import Target


@click.command(
    "export",
    epilog=examples(
        "protege export --to jsonl --out lanterns/",
        "protege export --to llamafactory --out lanterns/ --validation 0.2",
        "protege export dataset/labeled_segments --to hf --out lanterns/",
        "protege export dataset/raw_playthrough --to zarr --out dataset/episodes.zarr --size 160x120",
        "protege export models/gameplay_agent_lora --merge --out models/gameplay_agent",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--to",
    type=click.Choice(["jsonl", "hf", "llamafactory", "swift", "zarr"]),
    default="jsonl",
    show_default=True,
    help="Whose format.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--validation", type=Number(0, 0.9), default=0.1, show_default=True, help="Share held out.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the choice of sessions held out.")
@click.option("--allow-split-by-segment", is_flag=True, help="Hold out segments where there is only one session.")
@click.option("--size", type=Size(), help="zarr: scale frames to this. Default: as recorded.")
@click.option("--cut", type=Number(1), help="zarr: cut longer stretches into episodes of so many seconds.")
@click.option("--merge", is_flag=True, help="FOLDER is a model: fold its adapter into its base.")
@click.option("--push-to-hub", metavar="NAME", help="With --merge: upload the result, privately, under this name.")
def command(
    folder: Path | None,
    to: "Target | Literal['zarr']",
    out: Path,
    validation: float,
    seed: int,
    allow_split_by_segment: bool,
    size: tuple[int, int] | None,
    cut: float | None,
    merge: bool,
    push_to_hub: str | None,
) -> int:
    """Write training data as one self-contained folder in another tool's format, or a model as plain weights.

    With --to zarr FOLDER holds recordings (default: dataset/raw_playthrough), which become episodes of frames and
    actions for protege clone; an --out that is there already gets what is missing.
    """
    if merge:
        from protege.training import outputs

        merged = outputs.export_merged(folder or models() / "gameplay_agent_lora", out)
        click.echo(f"model: {shown(merged)}")
        if push_to_hub:
            click.echo(outputs.push_to_hub(merged, push_to_hub))
        return 0
    if push_to_hub:
        raise click.UsageError("--push-to-hub uploads a model; give --merge, too")
    if to == "zarr":
        return _export_zarr(folder or raw_playthrough(), out, size, cut)
    if size or cut:
        raise click.UsageError("--size and --cut are for --to zarr")
    from protege.labeling.export import ExportOptions, export_folder

    options = ExportOptions(to, validation, seed, allow_split_by_segment)
    counts = export_folder(folder or labeled_segments(), out, options)
    click.echo(f"{shown(out)}: " + ", ".join(f"{count:,} {split}" for split, count in counts.items()))
    return 0


def _export_zarr(folder: Path, out: Path, size: tuple[int, int] | None, cut: float | None) -> int:
    from protege.cloning.episodes import export_sessions

    with bar("sessions") as progress:
        done = export_sessions(folder, out, size, cut_s=cut, progress=progress)
    for problem in done.problems:
        click.echo(printable(str(problem)), err=True)
    there = f" ({done.skipped} sessions were there already)" if done.skipped else ""
    click.echo(f"{shown(out)}: {done.episodes} episodes, {done.frames:,} frames{there}")
    return 0
