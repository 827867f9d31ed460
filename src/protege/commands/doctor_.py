"""`protege doctor`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from protege.commands.choose import ask_game, game_option
from protege.commands.types import examples
from protege.core.paths import raw_playthrough, shown
from protege.core.text import one_line, printable

if TYPE_CHECKING:
    from protege.doctor import Check


@click.command(
    "doctor",
    epilog=examples(
        "protege doctor                                       check this machine",
        "protege doctor --game chocolate-doom                 this machine, with that game's window and keys",
        "protege doctor dataset/raw_playthrough/level1        check a recording",
        "protege doctor dataset/raw_playthrough/level1 --repair",
        "protege doctor --train                               what would training use and need here?",
        "protege doctor --train --set model.base=Qwen/Qwen3-VL-4B-Instruct --set training.batch=1",
    ),
)
@click.argument("session", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@game_option
@click.option("--repair", is_flag=True, help="Mend the recording; what is good is not touched.")
@click.option("--train", is_flag=True, help="Say what `protege train` would use and need here; nothing is downloaded.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="With --train: a setting of the run.")
def command(session: Path | None, game: str | None, repair: bool, train: bool, settings: tuple[str, ...]) -> int:
    """Check this machine (display, keyboard, GPU, extras, disk), a recording, or what training would need."""
    if train:
        if session is not None or game is not None or repair:
            raise click.UsageError("--train looks at this machine alone; leave the recording, --game and --repair out")
        return _train(settings)
    if settings:
        raise click.UsageError("--set goes with --train")
    if session is not None and game is not None:
        raise click.UsageError("a recording carries its own keys; leave --game or the recording out")
    if session is not None:
        return _session(session, repair)
    if repair:
        raise click.UsageError("--repair needs a recording, for example: protege doctor FOLDER --repair")
    from protege import doctor

    return tell(doctor.check_machine(os.environ, raw_playthrough(), ask_game(game)))


def _train(settings: tuple[str, ...]) -> int:
    from protege.commands.train_ import DEFAULTS
    from protege.settings import load_config
    from protege.training.config import VisionConfig
    from protege.training.outlook import outlook, require_fit
    from protege.vlm.load import require_vision, resolve_device
    from protege.vlm.unsloth import choose

    require_vision()
    config = load_config(VisionConfig, DEFAULTS if DEFAULTS.is_file() else None, settings)
    found = outlook(config, choose(config.model.unsloth, resolve_device(config.model.device)))
    for line in found.lines():
        click.echo(printable(line))
    require_fit(config, found)
    return 0


def tell(checks: "Sequence[Check]") -> int:
    """Print what was found, with remedies; returns the exit code, 1 if something is wrong."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = {True: "ok", False: "FIX", None: "-"}[check.ok]
        click.echo(f"{mark:<4}{check.name:<{width}}  {printable(check.found)}")
        if not check.ok and check.remedy:
            click.echo(f"    {'':<{width}}  {printable(check.remedy)}")
    return 1 if any(check.ok is False for check in checks) else 0


def _session(folder: Path, repair: bool) -> int:
    from protege.core import session as sessions

    problems = sessions.repair(folder) if repair else sessions.check(folder)
    for problem in problems:
        click.echo(one_line(str(problem)))
    if not problems:
        click.echo(f"{shown(folder)}: sound")
        return 0
    if repair:
        click.echo(f"{shown(folder)}: repaired, {len(sessions.Session.open(folder))} frames")
        return 0
    if all(problem.mendable for problem in problems):
        click.echo(f"repair with: protege doctor {shown(folder)} --repair")
    return 1
