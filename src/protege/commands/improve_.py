"""`protege improve`."""

import json
from pathlib import Path

import click

from protege.commands.choose import ask_game
from protege.commands.types import SEED, Count, GoalText, Number, examples
from protege.core.paths import models, project_root, shown
from protege.core.text import printable


@click.command(
    "improve",
    epilog=examples(
        "protege improve                                               in the arena, the expert corrects",
        'protege improve --goal "Open the door" --rounds 1 --minutes 2',
        'protege improve --person me --goal "Go to the lantern" --minutes 10',
        "protege improve --person me --game chocolate-doom            with the profile's window and goals",
        "protege improve --model dataset/demo/model training.max_steps=200",
        "protege improve --model dataset/demo/cloned training.num_epochs=3",
    ),
)
@click.option("--rounds", type=Count(1), default=3, show_default=True, help="Of playing, labeling, training, scoring.")
@click.option(
    "--minutes", type=Number(0, 600, min_open=True), default=5.0, show_default=True, help="Of play in each round."
)
@click.option(
    "--game",
    help="arena; window: the one that has the focus; or a game's profile, for its window, its goals and what is never "
    "pressed. Default: where the person plays.",
)
@click.option(
    "--person",
    default="expert",
    show_default=True,
    help="Who takes over: expert, in the arena, without a screen; or me, with the keyboard.",
)
@click.option("--goal", "goals", type=GoalText(), multiple=True, help="What to do; several are asked for by turns.")
@click.option("--window", metavar="TITLE", help="With --person me: the window's title, or a part of it.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="To begin with. Default: models/gameplay_agent_lora."
)  # fmt: skip
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Its labeled segments or zarr store, to which corrections are added. Default: what it was trained on.",
)
@click.option("--episodes", type=Count(1), default=100, show_default=True, help="Rooms, or samples, to score in.")
@click.option("--seed", type=SEED, default=7000, show_default=True, help="The first room to correct in.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for all of it. Default: improve/ and --model's.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object instead of lines.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def command(
    rounds: int,
    minutes: float,
    game: str | None,
    person: str,
    goals: tuple[str, ...],
    window: str | None,
    model: Path | None,
    data: Path | None,
    episodes: int,
    seed: int,
    out: Path | None,
    json_: bool,
    overrides: tuple[str, ...],
) -> None:
    """Let a model play, correct it where it goes wrong, and train it on the corrections, round after round.

    Each round plays, labels what the person did, trains on everything, scores both models on what nothing was trained
    on, and keeps the better one. Stopped anywhere, the same command goes on there. KEY=VALUE changes the model's
    training configuration.
    """
    from protege.core.actions import NO_KEYS
    from protege.improve import ImproveOptions, run
    from protege.improve.options import GAMES, WINDOW
    from protege.policies import card_of

    model = model or models() / "gameplay_agent_lora"
    profile = ask_game(None if game in GAMES else game)
    if profile is not None:
        if (card := card_of(str(model))) is not None:
            profile.require_keys_of(card.space, f"the model {printable(str(model))}")
        game, window, goals = WINDOW, window or profile.profile.window, goals or profile.profile.goals
    options = ImproveOptions(
        out=out or project_root() / "improve" / model.resolve().name,
        model=model,
        data=data,
        game=game,
        person=person,
        goals=goals,
        rounds=rounds,
        minutes=minutes,
        episodes=episodes,
        seed=seed,
        window=window,
        never=NO_KEYS if profile is None else profile.never,
        overrides=overrides,
    )
    made = run(options, lambda text: click.echo(printable(text), err=True))
    if json_:
        click.echo(json.dumps(made.to_json()))
        return
    before, after = made.scores
    click.echo(f"before  {before}")
    click.echo(f"after   {after}, {made.frames_added} frames corrected")
    click.echo(f"model   {shown(made.model)}")
    goal = printable(goals[0]) if goals else "Go to the lantern"
    click.echo(f'next: protege play --model {shown(made.model)} --goal "{goal}"')
