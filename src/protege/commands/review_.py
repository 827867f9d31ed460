"""`protege review`."""

from pathlib import Path

import click

from protege.commands.studio_ import open_studio
from protege.commands.types import examples
from protege.core.paths import labeled_segments, shown
from protege.core.text import one_line


@click.command(
    "review",
    epilog=examples(
        "protege review                                                look at them in your browser",
        "protege review --list                                         list what no model could name",
        'protege review level1_seg004 --goal "Open the door"          name it yourself',
    ),
)
@click.argument("segment", type=click.Path(path_type=Path), required=False)
@click.option("--goal", help="The segment's goal; it is trained on from now on.")
@click.option("--force", is_flag=True, help="Take the goal as it is, though it would be asked for again of a model.")
@click.option("--list", "list_", is_flag=True, help="List them here. So it is where no browser or terminal is.")
@click.option("--in", "root", type=click.Path(path_type=Path), help="Default: dataset/labeled_segments.")
def command(segment: Path | None, goal: str | None, force: bool, list_: bool, root: Path | None) -> int:
    """Look at the segments that need a person's eye, in the studio, or give one its goal.

    They are never trained on unseen; what a person has decided no model is asked about again.
    """
    from protege.core.labeled import NEEDS_REVIEW, LabeledSegment, find_segments
    from protege.labeling.edit import approve
    from protege.studio.browser import can_look

    root = root or labeled_segments()
    if (segment is None) != (goal is None):
        raise click.UsageError("name both a segment and its --goal, or neither to list what needs review")
    if segment is not None and goal is not None:
        folder = segment if segment.exists() or len(segment.parts) > 1 else root / segment
        if not folder.is_dir():
            raise click.UsageError(f"no segment {segment} here or in {shown(root)}; list them with: protege review")
        samples = approve(folder, goal, force=force)
        click.echo(f"{shown(folder)}: {samples} samples")
        return 0
    if not list_ and root.resolve() == labeled_segments().resolve() and can_look():
        open_studio("labels")
        return 0
    waiting = [
        (folder, labeled)
        for folder in (find_segments(root) if root.is_dir() else [])
        if (labeled := LabeledSegment.load(folder)).status == NEEDS_REVIEW
    ]
    for folder, labeled in waiting:
        click.echo(one_line(f"{folder.name}: {labeled.why}"))
    click.echo(f"{len(waiting)} segments need review in {shown(root)}")
    return 0
