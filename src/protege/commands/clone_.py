"""`protege clone`."""

import logging
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from protege.arena.tasks import TASKS
from protege.commands.progress import bar
from protege.commands.types import SEED, Count, examples
from protege.core.card import ModelCard
from protege.core.files import locked
from protege.core.paths import shown
from protege.core.text import printable
from protege.errors import UserError


@click.group(
    "clone",
    epilog=examples(
        "protege export dataset/raw_playthrough --to zarr --out dataset/episodes.zarr",
        "protege clone train --config configs/pure_cnn.yaml",
        "protege clone evaluate models/cloning/pure_cnn",
        "protege clone rollout models/cloning/pure_cnn",
    ),
)
def command() -> None:
    """Behaviour cloning from pixels in JAX: train policies on zarr episodes, score and compare them."""


@command.command(
    "train",
    epilog=examples(
        "protege clone train --config configs/pure_cnn.yaml",
        "protege clone train --config configs/gru.yaml dataset.path=dataset/episodes.zarr training.batch_size=64",
        "python -m BC_training --config configs/pure_cnn.yaml          the same",
    ),
)
@click.option("--config", type=click.Path(path_type=Path), default=Path("configs/pure_cnn.yaml"), show_default=True)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def train(config: Path, overrides: tuple[str, ...]) -> int:
    """Train a policy on zarr episodes. A second run goes on where the first was stopped.

    Every value of the config can be changed here, as KEY=VALUE.
    """
    _require_libraries()
    from protege.cloning.config import load
    from protege.cloning.train import train

    loaded = load(config, overrides)
    _require_writable("training.checkpoint_dir", Path(loaded.training.checkpoint_dir), ("config.yaml", "log.jsonl"))
    logging.getLogger("protege").setLevel(logging.INFO)
    trained = train(loaded, lambda: bar("frames"))
    if not trained.losses and not trained.interrupted:
        click.echo(
            f"already finished after {trained.steps} steps; to go on, raise what ended it (training.num_epochs, "
            "training.max_steps or training.early_stopping.patience); to start over: training.resume=never",
            err=True,
        )
    click.echo(f"model: {shown(trained.folder)}")
    return 130 if trained.interrupted else 0


@command.command(
    "evaluate",
    epilog=examples(
        "protege clone evaluate models/cloning/pure_cnn",
        "protege clone evaluate models/cloning/pure_cnn --dataset dataset/others.zarr --out others/",
    ),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--dataset", type=click.Path(path_type=Path), help="Other episodes, or where those of the training lie now."
)
@click.option(
    "--split",
    type=click.Choice(["test", "validation", "train", "all"]),
    help="Default: the test episodes of the training; all, where the data set has no episode of the training.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for metrics.json and the page. Default: the model."
)
@click.option("--films/--no-films", default=True, show_default=True, help="Episodes as videos, in the page.")
def evaluate(model: Path, dataset: Path | None, split: str | None, out: Path | None, films: bool) -> int:
    """Score a model on whole episodes, and write metrics.json and a page with time lines and videos."""
    _require_libraries()
    _require_folder(model)
    from protege.cloning.compare import METRICS, PAGE

    _require_writable("--out", out or model, (METRICS, PAGE))
    from protege.cloning.evaluate import evaluate
    from protege.cloning.tables import table

    with locked(out or model, "protege clone evaluate"):
        with bar("frames") as progress:
            found = evaluate(model, dataset, split, progress)
        page = found.save(out or model, films)
    numbers = found.evaluation.to_json()
    click.echo(printable(f"{found.intro}\n\n{table({model.resolve().name: numbers, **numbers['others']})}"))
    click.echo(f"page: {shown(page)}", err=True)
    return 0


@command.command("compare", epilog=examples("protege clone compare models/cloning/pure_cnn models/cloning/gru"))
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
def compare(models: tuple[Path, ...]) -> int:
    """Put models side by side, by the metrics.json that evaluation wrote."""
    from protege.cloning.compare import compare

    click.echo(printable(compare(models)))
    return 0


@command.command(
    "rollout",
    epilog=examples(
        "protege clone rollout models/cloning/pure_cnn",
        "protege clone rollout models/cloning/pure_cnn --episodes 20 --task all --page rollout.html",
    ),
)
@click.argument("model")
@click.option("--episodes", type=Count(1), default=10, show_default=True, help="Rooms to play.")
@click.option("--seed", type=SEED, default=10_000, show_default=True, help="The first room; 10,000 or later.")
@click.option(
    "--task",
    type=click.Choice([*TASKS, "all"]),
    default="go_to",
    show_default=True,
    help="Only goals of this kind.",
)
@click.option(
    "--page", type=click.Path(dir_okay=False, path_type=Path), help="Default: rollout.html in the model's folder."
)
def rollout(model: str, episodes: int, seed: int, task: str, page: Path | None) -> int:
    """Let a model play the built-in game without a screen, and show it beside what the scripted player would do.

    MODEL is a model's folder, or the name of a player without one, such as expert or random.
    """
    _require_libraries()
    from protege.agent import baselines
    from protege.evaluation.episodes import BASELINES, Player

    if model not in {*BASELINES, *baselines.BASELINES} and "://" not in model:
        _require_folder(Path(model))
        ModelCard.load(Path(model))
    page = page or (Path(model) if Path(model).is_dir() else Path()) / "rollout.html"
    _require_writable("--page", page.parent, [page.name])
    from protege.evaluation.rollout import play, write_page

    kind = TASKS.get(task)
    with bar("episodes") as progress:
        played = play(Player(model), episodes, seed, kind, lambda done: progress(done, episodes))
    write_page(played, page)
    click.echo(printable("\n".join(played.lines())))
    click.echo(f"page: {shown(page)}", err=True)
    return 0


@command.command(
    "setup-check",
    epilog=examples(
        "protege clone setup-check",
        "protege clone setup-check --config configs/pure_cnn.yaml --dataset dataset/episodes.zarr",
    ),
)
@click.option("--config", type=click.Path(path_type=Path), help="A configuration to read, too.")
@click.option("--dataset", type=click.Path(path_type=Path), help="A data set to open, too.")
def setup_check(config: Path | None, dataset: Path | None) -> int:
    """Does cloning work on this machine? Libraries, devices, the documented model, and a whole run in small."""
    from protege.cloning.setup_check import checks

    good = True
    for check in checks(config, dataset):
        good &= check.ok
        click.echo(f"{'ok' if check.ok else 'FIX':<4}{check.name:<17} {printable(check.found)}")
    return 0 if good else 1


def _require_libraries() -> None:
    """MissingExtra where one that cloning needs is not installed, before a module imports it."""
    from protege.cloning.setup_check import require_libraries

    require_libraries()


def _require_folder(model: Path) -> None:
    """UserError, at once, where there is no such folder: what loads a model takes seconds to be imported."""
    if not model.is_dir():
        raise UserError(f"{model}: no such model; expected a folder that protege clone train wrote, see models/cloning")


def _require_writable(name: str, folder: Path, files: Sequence[str]) -> None:
    """UserError, before any work is done, where files cannot be written into a folder, which may have to be made.

    It is tried, and undone: permissions alone do not say. name: of the option.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"{name} {folder}: {there} is a file; name a folder that can be made or written into")
    for file in files:
        if (folder / file).exists() and not (folder / file).is_file():
            raise UserError(f"{name} {folder}: {file} in it is not a file; delete it, or name another folder")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"{name} {folder}: {there} cannot be written into ({error.strerror}); name a folder that can be made or "
            "written into"
        ) from None
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
