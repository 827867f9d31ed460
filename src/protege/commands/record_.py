"""`protege record`."""

import os
from pathlib import Path

import click

from protege.commands.choose import ask_game, ask_window, game_option, given
from protege.commands.types import Number, Region, Seconds, Size, examples
from protege.core.devices import Rect
from protege.core.paths import raw_playthrough, shown
from protege.core.text import one_line, printable


@click.command(
    "record",
    epilog=examples(
        "protege record                              record the window you press P in",
        'protege record --window "Chocolate Doom"    record the window with this in its title',
        "protege record --game chocolate-doom               its window, its keys (protege game list)",
        "protege record --stop-after 10:00 --name level1",
        "protege record --countdown 5               starts by itself: click into the game meanwhile",
        "protege record --list-windows",
    ),
)
@click.option(
    "--window",
    metavar="TITLE",
    help="The window's title, a part of it, or a /pattern/. Default: the window you press P in.",
)
@game_option
@click.option("--list-windows", is_flag=True, help="List the open windows and end.")
@click.option("--region", type=Region(), help="Record this part of the screen instead of the whole window.")
@click.option("--fps", type=Number(0, min_open=True), default=10.0, show_default=True, help="Frames a second.")
@click.option("--size", type=Size(), default="640x480", show_default=True, help="Size of the stored frames.")
@click.option("--stop-after", type=Seconds(), help="End after this much recording (seconds, or minutes:seconds).")
@click.option("--start-now", is_flag=True, help="Start at once, without waiting for the key.")
@click.option("--countdown", type=Number(0, 600), help="Start by itself after so many seconds, without the key.")
@click.option("--name", help="Name of the session. Default: the time, as in 20261121_142530.")
@click.option("--toggle-key", default="p", show_default=True, help="The key that starts and pauses.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for sessions. Default: dataset/raw_playthrough.")
def command(
    window: str | None,
    game: str | None,
    list_windows: bool,
    region: Rect | None,
    fps: float,
    size: tuple[int, int],
    stop_after: float | None,
    start_now: bool,
    countdown: float | None,
    name: str | None,
    toggle_key: str,
    out: Path | None,
) -> int:
    """Record a game: its picture ten times a second, and the keys you press.

    P starts and pauses, Ctrl-C ends. Only the keys of the action space (w a s d, arrows, c, space, enter, or those of
    --game) are stored, only while recording, and only while the game's window has the focus.
    """
    from protege.recorder.config import RecorderConfig

    if list_windows:
        from protege.devices import windows

        for found in windows.list_windows():
            rect = found.state().rect
            click.echo(f"{one_line(found.title)}   {rect.width}x{rect.height} at {rect.left},{rect.top}")
            found.close()
        return 0
    found = ask_game(game)
    if found is not None:
        profile = found.profile
        window = window or profile.window
        fps, size = given("fps", fps, profile.fps), given("size", size, profile.size)
    config = RecorderConfig(
        out=out or raw_playthrough(),
        name=name,
        window=ask_window(window, f"the one you press {toggle_key.upper()} in"),
        region=region,
        fps=fps,
        size=size,
        stop_after_s=stop_after,
        toggle_key=toggle_key.lower(),
        start_now=start_now or countdown is not None,
        countdown_s=countdown or 0.0,
        **({"space": found.space, "never": found.never} if found is not None else {}),
    )
    from protege.doctor import keyboard_blocked
    from protege.recorder.run import record

    if (blocked := keyboard_blocked(os.environ)) is not None:
        click.echo(printable(f"warning: {blocked.found}; {blocked.remedy}"), err=True)
    folder, ended = record(config)
    if folder is None:
        click.echo("nothing was recorded")
    else:
        summarize(folder)
    if ended is not None:
        raise ended
    return 0


def summarize(folder: Path) -> None:
    """Judge a finished session, print how it went and where it is."""
    from protege.core import quality

    click.echo(printable(quality.table(quality.judge(folder))))
    click.echo(f"recording: {shown(folder)}")
