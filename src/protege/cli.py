"""The `protege` command: the stages in order, and one line instead of a traceback when something is wrong."""

import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from protege import __version__
from protege.core.status_line import heartbeat
from protege.core.text import one_line, printable
from protege.errors import ProtegeError
from protege.extras import missing_extra

COMMANDS: Final = {
    "studio": "See recordings, labels and models in your browser, and what is next.",
    "game": "Describe your game once: its window, its keys and what they do.",
    "record": "Record a game: its picture and the keys you press.",
    "import": "Turn recordings made by other tools into sessions.",
    "sessions": "List, watch, trim, split, merge and delete recordings.",
    "label": "Turn recordings into training data: segments, goals, samples.",
    "review": "Look at the segments, and correct their goals.",
    "report": "Is the data any good? One page that says so.",
    "export": "Write training data for other tools, or a model with its adapter merged in.",
    "train": "Fine-tune Qwen3-VL on your training data with LoRA.",
    "score": "How good is a model, without playing?",
    "check": "Does a model answer the same as adapter, merged and behind a server?",
    "compare": "Put models side by side.",
    "tiny-base": "Make a small real Qwen3-VL for machines without a GPU.",
    "clone": "Behaviour cloning from pixels in JAX: train, score, compare, roll out.",
    "play": "Play live: a model presses real keys in your game.",
    "improve": "Correct a model while it plays, train it on that, keep the better one.",
    "replay": "Press a recording's keys again.",
    "arena": "The built-in game: play it, or record it without a screen.",
    "controls": "Body and hands to Minecraft controls: recordings, training, scores.",
    "demo": "See it work: record, label, train and play the built-in game.",
    "bench": "How well does a policy play, in rooms nothing was trained on?",
    "doctor": "Check this machine, or a recording, and say what to do.",
}
"""In the order a user meets them; each lives in `protege.commands.<name>` and is imported when it is called."""


LONG: Final = frozenset(COMMANDS) - {"studio", "review", "record", "play", "replay", "game"}
"""Commands that may work for long, and for nobody who sits there and plays."""
QUIET: Final = "--quiet"


class Noted(click.Context):
    """A context that its root can find again, to say what comes after the command that was given.

    Long work in it is never silent for long.
    """

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        words = self.command_path.split(" ")
        if isinstance(self.command, click.Group) or words[1] not in LONG or words[1:] == ["arena", "play"]:
            return super().invoke(*args, **kwargs)
        with heartbeat(sys.stderr, sys.stdout):
            return super().invoke(*args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.find_root().meta["protege.command"] = self


class Pipeline(click.Group):
    """A group that imports a command when it is used, so that `protege --help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"protege.commands.{cmd_name.replace('-', '_')}_").command
        for one in (command, *getattr(command, "commands", {}).values()):
            one.context_class = Noted
        return command

    def invoke(self, ctx: click.Context) -> object:
        result = super().invoke(ctx)
        noted = ctx.meta.get("protege.command")
        if noted is not None and not ctx.params["quiet"] and result in (None, 0):
            from protege.commands.following import following

            words = noted.command_path.split(" ", 1)[1]
            if (line := following(words, noted.params)) is not None:
                click.echo(printable(f"next: {line}"), err=True)
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


class _Printable(logging.Formatter):
    """Names that stand in files reach the terminal through log lines, too."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@click.group(
    cls=Pipeline,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  protege demo    Then record your own game:  protege record --window TITLE",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(QUIET, is_flag=True, help="Do not say at the end what comes next.")
@click.version_option(__version__, prog_name="protege")
@click.pass_context
def cli(ctx: click.Context, debug: bool, quiet: bool) -> None:
    """Protégé learns to play your game by watching you: record, label, train, play."""
    log(debug)
    if ctx.invoked_subcommand is None:
        from protege.core.paths import project_root
        from protege.studio.where import look

        click.echo(printable("\n".join(look(project_root()).lines())))
        click.echo("all commands: protege --help    in your browser: protege studio", err=True)


def log(debug: bool = False) -> None:
    """Log lines go to stderr; debug: all of them, not only warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[handler])


def run(argv: Sequence[str], command: click.Command = cli, name: str = "protege") -> int:
    """Run one command line and return its exit code: 0 good, 1 the world failed, 2 the user was wrong."""
    debug = "--debug" in argv
    first = [flag for flag in ("--debug", QUIET) if flag in argv and command is cli]
    args = [*first, *(arg for arg in argv if arg not in ("--debug", *first))]

    def work() -> int:
        result = command.main(args, prog_name=name, standalone_mode=False)
        return result if isinstance(result, int) else 0

    return guarded(work, debug=debug)


def guarded(work: Callable[[], int], *, debug: bool = False) -> int:
    """Do the work of an entry point and return its exit code; whatever it raises becomes one line on stderr.

    Every way into the program goes through here: the commands, the root scripts, the source documents' modules.
    """
    try:
        return work()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        return 0
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "protege"
        return _say(f"{where}: {one_line(error.format_message())}; see: {where} --help", 2)
    except click.ClickException as error:
        return _say(f"protege: {one_line(error.format_message())}", 2)
    except ProtegeError as error:
        if debug:
            logging.getLogger("protege").debug("raised here", exc_info=True)
        return _say(f"protege: {one_line(str(error))}", error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has gone
        return 0
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"protege: {one_line(where + (error.strerror or str(error) or repr(error)))}", 1)
    except MemoryError:
        if debug:
            raise
        return _say("protege: not enough memory for what was asked; choose smaller sizes", 1)
    except (KeyboardInterrupt, click.Abort):
        return _say("protege: interrupted", 130)
    except Exception as error:
        if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # of Path.resolve
            return _say(f"protege: {one_line(str(error))}; a link that leads to itself is no file and no folder", 2)
        if debug:
            raise
        if isinstance(error, ModuleNotFoundError) and (missing := missing_extra(error)) is not None:
            return _say(f"protege: {missing}", missing.exit_code)
        return _say(f"protege: internal error: {one_line(repr(error))}; run again with --debug and report it", 1)


def use_utf8() -> None:
    """Make printing never fail: a pipe on Windows is cp1252, and file names may hold what no encoding knows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8" if sys.platform == "win32" else None, errors="backslashreplace")


def _say(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


def main(argv: Sequence[str] | None = None) -> None:
    use_utf8()
    sys.exit(run(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    main()
