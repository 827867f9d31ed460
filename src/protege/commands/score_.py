"""`protege score`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from protege.commands.progress import bar
from protege.commands.types import Count, examples
from protege.core.paths import labeled_segments
from protege.core.text import printable


@click.command(
    "score",
    epilog=examples(
        "protege score models/gameplay_agent_lora --only-held-back",
        "protege score models/gameplay_agent_lora dataset/labeled_segments --page score.html --json score.json",
    ),
)
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--samples", type=Count(1), default=1000, show_default=True, help="At most so many.")
@click.option("--only-held-back", is_flag=True, help="Leave out the recordings that the model was trained on.")
@click.option("--no-base", is_flag=True, help="Do not score the untuned base beside it.")
@click.option("--four-bit", is_flag=True, help="Load the base in 4 bits.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda")
@click.option("--page", type=click.Path(path_type=Path), help="Write a page: confusion, keys, the worst samples.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the numbers to this file.")
def command(model: str, folder: Path | None, no_base: bool, **options: Any) -> int:
    """How good is a model, without playing? Beside it always the baselines and the untuned base."""
    from protege.training.judge import ScoreOptions, score_model
    from protege.training.judged import summary

    with scoring() as progress:
        chosen = ScoreOptions(untuned_base=not no_base, **options)
        judged = score_model(model, folder or labeled_segments(), chosen, progress)
    click.echo(printable(summary(judged)))
    return 0


@contextmanager
def scoring() -> Iterator[Callable[[str, int, int], None]]:
    """One bar after another: the model, with its goals swapped, the untuned base."""
    shown: dict[str, Callable[[int, int], None]] = {}
    with ExitStack() as stack:

        def progress(part: str, done: int, total: int) -> None:
            if part not in shown:
                stack.close()  # the bar before ends its line
                shown.clear()
                shown[part] = stack.enter_context(bar(part))
            shown[part](done, total)

        yield progress
