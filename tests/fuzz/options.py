"""Command lines in which one value is not what it should be: every option, argument and override."""

import functools
import random
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final

import click

from tests.fuzz.inputs import TINY_CLONE, TINY_CONTROLS, TINY_VISION
from tests.fuzz.values import BELL

NUMBERS: Final = (
    *(
        "nan",
        "inf",
        "-inf",
        "-1",
        "0",
        "1e18",
        "99999999999999999999",
        "-0.0",
        "1e-300",
        "",
        " ",
        "banana",
        "0x10",
        "1_0",
    ),
    *("1.5", "٣", "1e400", "9" * 5000, "+1", "None", f"1{BELL}", "1,5", "true"),
)
TEXTS: Final = (
    *(
        "",
        " ",
        "banana",
        "x" * 5000,
        f"Go{BELL} on",
        "\udcff\udcfe",
        "-",
        "--",
        "é",
        "a\nb",
        "{}",
        "%s%n",
        "null",
        "🦆" * 50,
    ),
    *("../../precious", "a/b", "..", ".", "C:\\x", "con", "*"),
)
PATHS: Final = (
    *("", " ", "file", "file/below", "folder", "missing", "missing/deeper", "x" * 300, "fifo", "zero", "/proc/x/y"),
    *(
        "/dev/full",
        f"na{BELL}me",
        "\udcff",
        "raw/s0/session.json",
        "raw",
        "labeled",
        "locked",
        ".",
        "loop",
        "é",
        "a\nb",
    ),
)
URLS: Final = (
    *("http://127.0.0.1:99999/v1", "http://127.0.0.1:1/v1", "http://[::1", "ftp://x", "http://", "://", "http://a b/"),
    *(
        "file:///etc/passwd",
        "http://user:secret@127.0.0.1:1/v1",
        "http://127.0.0.1:1/\udcff",
        "ws://127.0.0.1:99999",
        "ws://",
    ),
    *(
        "http://127.0.0.1:-1/v1",
        "HTTP://127.0.0.1:1",
        "http://\x07",
        "http://" + "a" * 300 + "/",
        "127.0.0.1:1",
        "é://x",
    ),
)
SIZES: Final = (
    "0x0",
    "0x5",
    "1x",
    "x1",
    "640",
    "-1x5",
    "99999999x99999999",
    "1e3x1",
    "640x480x3",
    "٣x٣",
    "1x1",
    "10000x10000",
    "x",
)
TIMES: Final = ("1:2:3:4", "-1", "nan", "1:-1", "", ":", "1e400", "99:99", "inf", "1:nan", "9" * 400, "0:0:0")
OVERRIDES: Final = (
    *(
        "banana",
        "-1",
        "0",
        "1000000000000000000",
        "nan",
        "inf",
        "null",
        "[]",
        "[1000000,1000000]",
        "{a: 1}",
        "${x}",
        "true",
    ),
    *(
        "''",
        "[",
        "${oc.env:HOME}",
        "1e-400",
        "../../precious",
        "[[1]]",
        "0.5",
        "[-1,-1]",
        "[a,b]",
        "!!python/x",
        f"a{BELL}",
    ),
    *("[0,0]", "[1.5,2]", "missing", "folder", "file", "\udcff", "1e400", "x" * 3000),
)
LONG: Final = (
    "max_steps",
    "epochs",
    "num_epochs",
    "early_stopping",
    "patience",
    "d_model",
    "num_layers",
    "dim_feedforward",
)
"""Values for which a long run, or a large model, is what was asked for: no large numbers there."""

GIVEN: Final = "--raw raw --backend given --out out"
SERVED: Final = "--raw raw --backend openai --out out --retries 0 --timeout 1 --url http://127.0.0.1:1/v1"
LIGHT: Final = (
    *(
        "doctor raw/s0",
        "doctor",
        "sessions --in raw",
        "sessions trim raw/s0 --from 0.3",
        "sessions split raw/s0 --at 0.5",
    ),
    *("sessions merge raw/s0 raw/s1 --name both", "sessions delete raw/s0", f"label {GIVEN}", f"label {SERVED}"),
    *("label --raw raw --goal Open_the_door --out out --seconds 1", "review --in labeled", "report raw --out out.html"),
    *("review s0_seg000 --goal Open_the_door --in labeled", "export labeled --out out", "replay raw/s0 --window no"),
    *("export raw --to zarr --out out.zarr --size 32x24 --cut 1", "import origin --out out --fps 10 --size 64x48"),
    *("record --window no --out out --region 0,0,64,48", "play --model random --goal go --window no --out out"),
    *(
        "arena play --seed 1 --episodes 1 --seconds 1",
        "arena record --episodes 1 --out out --size 64x48",
        "arena goals",
    ),
    *(
        "arena record --episodes 1 --zarr out.zarr --size 64x48 --corrected",
        "controls synth --frames 30 --recordings 1 --out out",
    ),
    *("import foreign/clip.mp4 --out out --fps 5 --size 64x48", "import owa/0.4.2.mcap --out out --fps 5 --size 64x48"),
    *("record --list-windows", "label --raw runs --corrections --out out", f"label {GIVEN} --score --json"),
    *(
        "tiny-base out",
        "play --goals goals.txt --model http://127.0.0.1:1/v1 --window no",
        f"label {GIVEN} --prompt goals.txt",
    ),
)
TORCH: Final = (
    *(
        "score adapter labeled --samples 2 --no-base --device cpu",
        "compare adapter",
        "export adapter --merge --out out",
    ),
    *(
        "controls inspect npz",
        "controls evaluate controls npz/r0.npz",
        "tiny-base out --random",
        "train",
        "controls train",
    ),
    *("play --model controls --features npz/r0.npz --dry-run --max-minutes 0.003", "train", "controls train"),
    *(
        "play --model controls --features npz/r0.npz --bridge ws://127.0.0.1:1 --max-minutes 0.003",
        "compare adapter --on labeled",
    ),
)
JAX: Final = (
    *(
        "clone train",
        "clone train",
        "clone train",
        "clone compare cloned",
        "clone evaluate cloned --no-films --out out",
    ),
    *(
        "clone rollout missing --page out.html",
        "BC_training.analyze_dataset --dataset episodes.zarr",
    ),
)
BASES: Final = {"options": LIGHT, "torch options": TORCH, "jax options": JAX}
NEVER: Final = ("push_to_hub", "address", "workers", "gpus", "debug", "processes", "ray")
"""Not tried: they go out on the network, or start many processes."""


def line(target: str, rng: random.Random) -> list[str]:
    """A command line of a target with one or two wrong values."""
    base = rng.choice(BASES[target])
    words = [word.replace("_", " ") if word == "Open_the_door" else word for word in base.split()]
    if base in ("train", "clone train", "controls train"):
        return _overridden(base, words, rng)
    if words[0].startswith("BC_training"):
        return [*words, rng.choice(("--seed", "--dataset", "--json", "--x")), rng.choice((*NUMBERS, *PATHS))]
    for _ in range(rng.choice((1, 1, 1, 2))):
        words = _spoilt(words, rng)
    return words


def _spoilt(words: list[str], rng: random.Random) -> list[str]:
    command, depth = _command(words)
    options = [p for p in command.params if isinstance(p, click.Option) and not p.is_flag and p.name not in NEVER]
    plain = [i for i in range(depth, len(words)) if not words[i].startswith("-") and not words[i - 1].startswith("-")]
    if plain and rng.random() < 0.25:
        at = rng.choice(plain)
        return [*words[:at], rng.choice(PATHS), *words[at + 1 :]]
    if not options or rng.random() < 0.08:
        return [*words, rng.choice(("--banana", "-x", "--out=", "extra", "--help", "\udcff", f"--{BELL}"))]
    option = rng.choice(options)
    name, value = option.opts[-1], rng.choice(_values(option))
    if name in words:
        at = words.index(name) + 1
        return [*words[:at], value, *words[at + 1 :]]
    return [*words, name, value]


def _command(words: list[str]) -> tuple[click.Command, int]:
    """What a line calls, and how many words name it."""
    from protege.cli import cli

    command: Any = cli
    depth = 0
    while isinstance(command, click.Group) and depth < len(words):
        found = command.get_command(click.Context(command), words[depth])
        if found is None:
            break
        command, depth = found, depth + 1
    return command, depth


def _values(option: click.Option) -> tuple[str, ...]:
    kind = option.type.name
    if option.name in ("url", "bridge"):
        return URLS
    if option.name == "model":
        return (*URLS, *PATHS)
    return {
        **{"WxH": SIZES, "TIME": TIMES, "path": PATHS, "file": PATHS, "directory": PATHS, "choice": TEXTS},
        "L,T,W,H": (
            "0,0,0,0",
            "-5,0,10,10",
            "1,2,3",
            "a,b,c,d",
            "0,0,99999999,99999999",
            "",
            "nan,0,1,1",
            "9" * 400 + ",0,1,1",
        ),
        "text": TEXTS,
    }.get(kind, NUMBERS)


def _overridden(base: str, words: list[str], rng: random.Random) -> list[str]:
    """A training whose configuration is wrong; most often on data that is not there, so that only the check is run."""
    sound = {"train": TINY_VISION, "clone train": TINY_CLONE, "controls train": TINY_CONTROLS}[base]
    real = rng.random() < 0.25
    place = {
        "train": "data.folder=missing",
        "clone train": "dataset.path=missing",
        "controls train": "data.recordings=[missing]",
    }
    output = {"train": "output=out", "clone train": "training.checkpoint_dir=out", "controls train": "output=out"}[base]
    wrong = []
    for _ in range(rng.choice((1, 1, 2))):
        key, value = rng.choice(_keys(base)), rng.choice(OVERRIDES)
        if real and any(part in key for part in LONG) and value.strip("[]").startswith(("100", "inf", "1e4")):
            value = "banana"
        wrong.append(
            rng.choice((f"{key}={value}",) * 12 + (f"{key}x={value}", key, f"={value}", f"{key}.a={value}", f"{key}=="))
        )
    config = ["--config", "file"] if base == "clone train" and rng.random() < 0.05 else []
    config = config or (["--config", "clone.yaml"] if base == "clone train" else [])
    return [*words, *config, *sound, output, *([] if real else [place[base]]), *wrong]


@functools.cache
def _keys(base: str) -> tuple[str, ...]:
    """Every key of a configuration, groups too."""
    if base == "train":
        from protege.training.config import VisionConfig as Config
    elif base == "clone train":
        from protege.cloning.config import CloningConfig as Config
    else:
        from protege.controls.config import ControlsConfig as Config
    return tuple(_walk(Config(), ""))


def _walk(value: Any, prefix: str) -> Iterator[str]:
    for field in fields(value):
        yield f"{prefix}{field.name}"
        inner = getattr(value, field.name)
        if is_dataclass(inner):
            yield from _walk(inner, f"{prefix}{field.name}.")
