"""`protege play`."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protege.commands.choose import ask_game, ask_window, game_option
from protege.commands.goals import known_goals, strange
from protege.commands.studio_ import live_page
from protege.commands.types import Count, Number, examples
from protege.core.paths import agent_runs, models, shown
from protege.core.text import printable

if TYPE_CHECKING:
    from protege.agent.run import PlayOptions
    from protege.core.card import ModelCard

CONTROLS = "control_policy_v2.pt"


@click.command(
    "play",
    epilog=examples(
        'protege play --goal "Go to the lantern"                        your model, in the window you click into',
        'protege play --goal "Go to the lantern" --window "Protege Arena" --dry-run',
        "protege play --game chocolate-doom                             its window, keys and goals",
        'protege play --model http://127.0.0.1:8000/v1 --goal "Open the door"',
        "protege play --model random --goal anything --max-minutes 0.5",
        "protege play --model models/control_policy_v2.pt --features recordings/synth_0000_movement.npz --dry-run",
    ),
)
@click.option(
    "--model", help="Folder, server, or random, scripted, repeat, majority. Default: models/gameplay_agent_lora."
)
@click.option("--goal", help="What to do, in 3 to 5 words.")
@click.option("--goals", type=click.Path(path_type=Path), help="A file of goals, one a line, done one after the other.")
@click.option("--features", metavar="FILE", help="Landmarks for a control policy: a recording, JSON lines, or - .")
@click.option("--bridge", default="keyboard", show_default=True, help="For --features: keyboard, or ws://HOST:PORT.")
@click.option(
    "--window",
    metavar="TITLE",
    help="The window's title, a part of it, or a /pattern/. Default: the window that has the focus.",
)
@game_option
@click.option("--temperature", type=Number(0), default=0.0, show_default=True, help="0: always the best action.")
@click.option(
    "--decoding",
    type=click.Choice(["auto", "greedy"]),
    default="auto",
    show_default=True,
    help="auto: as the model's card says; greedy: the likeliest action of every slot.",
)
@click.option("--execute", type=Count(1, 7), default=1, show_default=True, help="Slots to play before re-planning.")
@click.option("--max-minutes", type=Number(0, 600, min_open=True), default=10.0, show_default=True)
@click.option("--countdown", type=Number(0, 60), default=3.0, show_default=True, help="Seconds before it plays.")
@click.option("--dry-run", is_flag=True, help="Show what it would press, and press nothing.")
@click.option(
    "--show", is_flag=True, help="Open the page that shows it live, from the newest picture in the run's folder."
)
@click.option("--unstick", is_flag=True, help="When stuck, sample with a temperature until it moves.")
@click.option(
    "--backend",
    type=click.Choice(["transformers", "unsloth"]),
    default="transformers",
    show_default=True,
    help="What runs a model's folder; unsloth needs a CUDA device.",
)
@click.option("--four-bit", is_flag=True, help="Load the base model in 4 bits.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda")
@click.option("--stop-key", default="f12", show_default=True, help="Ends the run at once.")
@click.option("--toggle-key", default="p", show_default=True, help="Takes over, and hands back.")
@click.option("--no-record", is_flag=True, help="Do not keep the run as a recording.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for runs. Default: dataset/agent_runs.")
def command(
    model: str | None,
    features: str | None,
    bridge: str,
    game: str | None,
    temperature: float,
    decoding: str,
    countdown: float,
    backend: str,
    four_bit: bool,
    device: str,
    no_record: bool,
    out: Path | None,
    **options: Any,
) -> int:
    """Play live: a model looks at the window and presses real keys in it.

    The model's card says which keys it may press. Any of them that you press stops it at once and gives you control;
    P hands back. Keys are pressed only while the window has the focus, and every way out lets go of them. Type another
    goal and press return to change it while it plays.
    """
    if features is not None and game is not None:
        raise click.UsageError("--game: a policy of landmarks has keys of its own; leave --game or --features out")
    if features is not None:
        kept = {name: options[name] for name in ("dry_run", "window", "max_minutes", "stop_key", "toggle_key")}
        return _play_features(model or str(models() / CONTROLS), features, bridge, countdown_s=countdown, **kept)
    if model is not None and model.endswith(".pt"):
        raise click.UsageError(f"--model {model}: plays from landmarks; give a recording or a stream with --features")
    from protege.agent.run import PlayOptions, play_game
    from protege.agent.vision import VisionOptions
    from protege.core.actions import KEYBOARD_12
    from protege.policies import card_of, load_policy

    model = model or str(models() / "gameplay_agent_lora")
    found = ask_game(game)
    card = card_of(model)
    space = card.space if card is not None else found.space if found is not None else KEYBOARD_12
    if found is not None:
        found.require_keys_of(space, f"the model {printable(model)}")
        options["window"] = options["window"] or found.profile.window
        options["never"], options["tasks"] = found.never, found.profile.goals
    options["window"] = ask_window(options["window"], "the one that has the focus when the countdown ends")
    vision = VisionOptions(
        temperature=temperature, decoding=decoding, backend=backend, four_bit=four_bit, device=device, space=space
    )
    wanted = PlayOptions(
        model=model,
        countdown_s=countdown,
        record=not no_record,
        out=out or agent_runs(),
        vision=vision,
        **options,
    )
    if card is not None:
        _tell_strange_goals(wanted, card)
    policy = load_policy(wanted.model, vision)
    with live_page() if wanted.show else nullcontext():
        played = play_game(wanted, policy, lambda text: click.echo(printable(text), err=True))
    click.echo(printable(f"ended: {played.ending}"))
    if played.folder is not None:
        click.echo(f"recording: {shown(played.folder)}")
    return 0


def _tell_strange_goals(wanted: "PlayOptions", card: "ModelCard") -> None:
    """Name the goals that the model was never trained on, with the nearest that it was."""
    from protege.agent.goals import read_goals

    asked = [wanted.goal] if wanted.goal else read_goals(wanted.goals) if wanted.goals else wanted.tasks
    for line in strange(asked, known_goals(card)):
        click.echo(printable(line), err=True)


def _play_features(model: str, features: str, bridge: str, **options: Any) -> int:
    from protege.commands.features import FeatureOptions, play_features

    counts = play_features(
        FeatureOptions(model, features, bridge, **options), lambda text: click.echo(printable(text), err=True)
    )
    click.echo(f"frames: {counts.frames}, without anybody in sight: {counts.lost}, presses: {counts.pressed}", err=True)
    return 0
