"""`protege label`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from protege.commands.progress import Lines
from protege.commands.types import Count, GoalText, Number, examples
from protege.core.paths import agent_runs, labeled_segments, raw_playthrough, shown
from protege.core.text import one_line, printable

if TYPE_CHECKING:
    from protege.labeling.backends.base import Given, Labeler
    from protege.labeling.job import LabelOptions

DEFAULT_MODEL = "unsloth/Qwen3-VL-8B-Instruct-unsloth-bnb-4bit"


@click.command(
    "label",
    epilog=examples(
        "protege label                                             a Qwen3-VL on this machine names every goal",
        "protege label --backend openai --url http://127.0.0.1:8000/v1 --concurrency 32",
        "protege label --backend given                             the goals that the built-in game stored",
        'protege label --session level1 --goal "Go to the lantern"',
        "protege label --corrections                               what you did after taking over from the agent",
        "protege label --backend openai --score                    how good are its goals? on arena recordings",
    ),
)
@click.option("--session", "sessions", type=click.Path(path_type=Path), multiple=True, help="A recording; repeatable.")
@click.option("--raw", type=click.Path(path_type=Path), help="Folder of recordings. Default: dataset/raw_playthrough.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: dataset/labeled_segments.")
@click.option(
    "--corrections", is_flag=True, help="The agent's runs: what you did after taking over, for the goal it had."
)
@click.option(
    "--backend",
    type=click.Choice(["transformers", "openai", "ray", "given"]),
    help="Who names the goals. Default: transformers; given, if --goal is.",
)
@click.option("--goal", type=GoalText(), help="The goal of every segment, instead of asking a model.")
@click.option("--model", help=f"Model name or folder. Default: {DEFAULT_MODEL}; the server's own for openai.")
@click.option("--url", default="http://127.0.0.1:8000/v1", show_default=True, help="openai: the server.")
@click.option("--api-key", envvar="OPENAI_API_KEY", default="none", help="openai: its key, or OPENAI_API_KEY.")
@click.option("--concurrency", type=Count(1), default=8, show_default=True, help="openai: requests at once.")
@click.option("--max-tokens", type=Count(1), default=200, show_default=True, help="openai: longest answer.")
@click.option(
    "--timeout", type=Number(0, min_open=True), default=120.0, show_default=True, help="openai: seconds for one answer."
)
@click.option("--retries", type=Count(0), default=4, show_default=True, help="openai: after a failure.")
@click.option("--batch", type=Count(1), default=4, show_default=True, help="Segments answered together.")
@click.option("--device", default="auto", show_default=True, help="transformers: auto, cpu, cuda:0 …")
@click.option("--workers", type=Count(1), default=1, show_default=True, help="ray: models at once.")
@click.option("--gpus", type=Number(0), default=0.0, show_default=True, help="ray: GPUs for each.")
@click.option("--address", help="ray: of a running cluster. Default: a local one.")
@click.option("--seconds", type=Number(0, min_open=True), default=4.0, show_default=True, help="Length of a segment.")
@click.option("--chords", is_flag=True, help='A slot may name several keys ("w+right").')
@click.option("--tau-ms", type=Number(0), default=0.0, show_default=True, help="The player's reaction time.")
@click.option("--keep-idle", is_flag=True, help="Keep windows without a key inside a segment.")
@click.option("--join", is_flag=True, help="Adjacent segments with the same goal become one.")
@click.option("--paraphrases", type=Count(0), default=0, show_default=True, help="Other ways to say each goal.")
@click.option("--pictures", type=Count(1), default=3, show_default=True, help="Frames the model is shown.")
@click.option("--prompt", type=click.Path(path_type=Path), help="Your own questions, instead of the built-in ones.")
@click.option("--redo", is_flag=True, help="Replace what is there. Default: do only what is missing.")
@click.option("--score", "score_", is_flag=True, help="Compare with the true goals of arena recordings; write nothing.")
@click.option("--json", "json_", is_flag=True, help="With --score: one JSON object.")
def command(
    sessions: tuple[Path, ...],
    raw: Path | None,
    out: Path | None,
    corrections: bool,
    backend: str | None,
    score_: bool,
    json_: bool,
    **options: Any,
) -> int:
    """Turn recordings into training data: 4-second segments, a goal for each, and the next 7 actions of every frame.

    A segment appears whole or not at all; a second run does only what is missing. What the agent pressed is never
    training data; what you pressed in its runs is.
    """
    from protege.labeling import LabelOptions, RayCluster, label

    names = ("seconds", "chords", "tau_ms", "keep_idle", "join", "paraphrases", "pictures", "prompt", "redo")
    wanted = LabelOptions(**{name: options.pop(name) for name in names})
    folders = _recordings(sessions, raw or (agent_runs() if corrections else None))
    context = click.get_current_context()
    if _is_default(context, "url") and context.get_parameter_source("api_key") is ParameterSource.ENVIRONMENT:
        options["api_key"] = "none"  # the key in the environment is for another server than the one that is guessed
    labeler = _labeler(backend or ("given" if corrections else None), **options)
    if score_:
        return _score(folders, labeler, wanted, json_)
    out = out or labeled_segments()
    done = 0

    def tell(line: str) -> None:
        nonlocal done
        done += 1
        click.echo(one_line(f"[{done}/{len(folders)}] {line}"), err=True)

    lines = Lines("segments named", lambda text: click.echo(text, err=True))

    def asked(named: int, of: int) -> None:
        if not named:
            click.echo(one_line(f"asking {labeler.name} about {of} segments; progress at least every 10 s"), err=True)
            lines.restart()
        lines(named, of)

    result = label(folders, out, labeler, wanted, tell, asked)
    for line in result.lines():
        click.echo(one_line(line), err=line.startswith("not labeled"))
    if out.is_dir():
        click.echo(f"labeled data: {shown(out)}")
    if isinstance(labeler, RayCluster):
        labeler.close()
    return result.exit_code


def _is_default(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.DEFAULT


def _recordings(sessions: tuple[Path, ...], raw: Path | None) -> list[Path]:
    """The session folders that are meant; a mistake if there is none."""
    from protege.commands.sessions_ import find
    from protege.core.session import find_sessions

    if sessions:
        return [find(session) for session in sessions]
    root = raw or raw_playthrough()
    found = find_sessions(root) if root.is_dir() else []
    if not found:
        raise click.UsageError(f"no recordings in {shown(root)}; make one with: protege record")
    return found


def _labeler(
    backend: str | None,
    goal: str | None,
    model: str | None,
    url: str,
    api_key: str,
    concurrency: int,
    timeout: float,
    retries: int,
    max_tokens: int,
    batch: int,
    device: str,
    workers: int,
    gpus: float,
    address: str | None,
) -> "Labeler | Given":
    """Who names the goals."""
    from protege.labeling import Given, OpenAIServer, RayCluster, Transformers

    backend = backend or ("given" if goal else "transformers")
    if goal and backend != "given":
        raise click.UsageError(f"--goal names the goal, so --backend {backend} has nothing to do; leave one out")
    if backend == "given":
        return Given(goal)
    if backend == "openai":
        return OpenAIServer(url, model, concurrency, timeout, retries, api_key, max_tokens=max_tokens)
    local = Transformers(model or DEFAULT_MODEL, batch, device)
    if backend == "transformers":
        local.require_device()
    return local if backend == "transformers" else RayCluster(local, workers, gpus, batch=batch, address=address)


def _score(folders: list[Path], labeler: "Labeler | Given", wanted: "LabelOptions", json_: bool) -> int:
    from protege.labeling.scoring import score

    found = score(folders, labeler, seconds=wanted.seconds, pictures=wanted.pictures, prompt=wanted.prompt)
    if json_:
        json.dump(found.to_json(), sys.stdout, indent=1)
        click.echo()
    else:
        click.echo(printable(found.table()))
    return 0
