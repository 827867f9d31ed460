"""Which files of a sound input are broken, which commands then read them, and what those may change."""

from dataclasses import dataclass
from typing import Final

from tests.forked import ANALYZE
from tests.fuzz.inputs import TINY_CLONE, TINY_CONTROLS, TINY_VISION

Line = tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """lines: command lines, run until one fails; may: patterns of what they may change below the case's folder;
    every: how many times rarer than others it comes (what takes seconds); mended: that the last line finds a problem
    means that the first, though it ended well, has not mended it.
    """

    lines: tuple[Line, ...]
    may: tuple[str, ...] = ()
    every: int = 1
    mended: bool = False

    @property
    def name(self) -> str:
        words = [word for word in self.lines[0] if not word.startswith("{")]
        return " ".join(words[: 2 if words[0] in ("sessions", "clone", "controls", "arena") else 1])


@dataclass(frozen=True)
class Target:
    """name: of the format; group: which process has imported what it needs; needs: what of the inputs is copied; files:
    patterns of what is broken; folders: patterns of folders that may give way to something else; weight: its share.
    """

    name: str
    group: str
    needs: tuple[str, ...]
    files: tuple[str, ...]
    commands: tuple[Command, ...]
    weight: int = 1
    folders: tuple[str, ...] = ()


def one(text: str, *may: str, every: int = 1) -> Command:
    """A command from its words; {…} stand for words in `WORDS`."""
    words: list[str] = []
    for word in text.split():
        words += WORDS.get(word, [word.replace("~", " ")])
    return Command((tuple(words),), may, every)


WORDS: Final = {"{clone}": list(TINY_CLONE), "{controls}": list(TINY_CONTROLS), "{vision}": list(TINY_VISION)}
CUT: Final = "raw/s0_*"

READ_SESSION: Final = (
    one("doctor raw/s0"),
    Command((("doctor", "raw/s0", "--repair"), ("doctor", "raw/s0")), ("raw/s0", "raw/s0/*"), mended=True),
    one("sessions --in raw"),
    one("sessions --in raw/s0"),
    one("sessions trim raw/s0 --from 0.3 --to 1.5", CUT),
    one("sessions trim raw/s0 --from 0.3 --to 1.5 --replace", "raw/s0*", "raw/.trash*"),
    one("sessions split raw/s0 --at 0.5 --at 1.1", CUT),
    one("sessions merge raw/s0 raw/s1 --name both", "raw/both*"),
    one("sessions merge raw/s0 raw/s1 --name both --replace", "raw/*"),
    one("sessions delete raw/s0", "raw/s0*", "raw/.trash*"),
    one("label --session raw/s0 --backend given --out out", "out*"),
    one("label --raw raw --goal Open~the~door --out out --join --chords", "out*"),
    one("label --raw raw --backend given --score"),
    one("label --raw runs --corrections --out out", "out*"),
    one("report raw --out out.html", "out.html"),
    one("export raw --to zarr --out out.zarr", "out.zarr*"),
    one("export raw --to zarr --out out.zarr --size 32x24 --cut 1", "out.zarr*"),
    one("replay raw/s0 --window nothing --countdown 0"),
    one("arena record --out raw --episodes 1", "raw/arena*", every=8),
)
READ_MOUSED: Final = (
    one("doctor moused/s0"),
    Command((("doctor", "moused/s0", "--repair"), ("doctor", "moused/s0")), ("moused/s0", "moused/s0/*"), mended=True),
    one("sessions --in moused"),
    one("sessions trim moused/s0 --from 0.3 --to 1.5", "moused/s0_*"),
    one("sessions split moused/s0 --at 0.5 --at 1.1", "moused/s0_*"),
    one("sessions merge moused/s0 moused/s0 --name both", "moused/both*"),
)
READ_LABELED: Final = (
    one("review --in labeled"),
    one("review s0_seg000 --in labeled --goal Open~the~door", "labeled/s0_seg000/*"),
    one("report labeled --out out.html", "out.html"),
    one("export labeled --to jsonl --out out", "out*"),
    one("export labeled --to llamafactory --out out --validation 0.3", "out*"),
    one("export labeled --to swift --out out", "out*"),
    one("export labeled --to jsonl --out out --allow-split-by-segment --validation 0.5", "out*"),
    one("label --raw raw --backend given --out labeled --seconds 1", "labeled/*"),
    one("label --raw raw --backend given --out labeled --seconds 1 --redo", "labeled/*"),
)
SESSION_FILES: Final = ("raw/s0/session.json", "raw/s0/frames.jsonl", "raw/s0/events.jsonl")
SEGMENT_FILES: Final = ("labeled/*/segment.json", "labeled/*/samples.jsonl", "labeled/*.json")
CLONE: Final = "clone train --config clone.yaml"

TARGETS: Final = (
    Target("session.json", "light", ("raw", "runs"), SESSION_FILES[:1], READ_SESSION, 4),
    Target("frames.jsonl", "light", ("raw", "runs"), SESSION_FILES[1:2], READ_SESSION, 3),
    Target("events.jsonl", "light", ("raw", "runs"), SESSION_FILES[2:], READ_SESSION, 3),
    Target("mouse", "light", ("moused",), ("moused/s0/session.json", "moused/s0/events.jsonl"), READ_MOUSED, 3),
    Target("frames", "light", ("raw",), ("raw/s0/frames/*.jpg",), READ_SESSION, 2, ("raw/s0/frames", "raw/s0")),
    Target("agent run", "light", ("runs",), ("runs/run0/*.json*",), (READ_SESSION[13],)),
    Target("segment", "light", ("labeled", "raw"), SEGMENT_FILES, READ_LABELED, 4),
    Target(
        "labeled picture", "light", ("labeled", "raw"), ("labeled/*/*.jpg",), READ_LABELED, 1, ("labeled/s0_seg000",)
    ),
    Target("answer", "light", ("raw",), ("answers",), (one("label --raw raw --out out {server}", "out*"),), 2),
    Target("owamcap", "light", ("owa",), ("owa/*",), (one("import owa/0.4.2.mcap --out out --size 64x48", "out*"),), 3),
    Target("origin", "light", ("origin",), ("origin/*",), (one("import origin --out out --size 64x48", "out*"),), 2),
    Target(
        "video", "light", ("foreign",), ("foreign/*",), (one("import foreign/clip.mp4 --out out --size 64x48", "out*"),)
    ),
    Target(
        "goals", "light", ("goals.txt",), ("goals.txt",), (one("play --model random --goals goals.txt --window no"),)
    ),
    Target(
        "zarr to add to",
        "light",
        ("raw", "episodes.zarr", "old.zarr"),
        ("*.zarr/zarr.json", "*.zarr/episode_?/zarr.json", "*.zarr/.z*", "*.zarr/*/.z*"),
        (
            one("export raw --to zarr --out episodes.zarr --size 16x12", "*.zarr/*", ".*"),
            one("arena record --zarr episodes.zarr --size 16x12 --episodes 1", "*.zarr/*", ".*", every=8),
        ),
    ),
    Target("options", "light", ("raw", "runs", "labeled", "foreign", "owa", "origin", "goals.txt"), (), (), 6),
    Target(
        "labeled data, trained on",
        "torch",
        ("labeled", "tiny", "adapter"),
        (*SEGMENT_FILES, "labeled/*/*.jpg"),
        (
            one("train {vision} output=out", "out*", every=2),
            one("score adapter labeled --device cpu --samples 2 --no-base --json out.json", "out*", every=2),
            one("export labeled --to hf --out out", "out*"),
        ),
    ),
    Target(
        "adapter",
        "torch",
        ("labeled", "tiny", "adapter"),
        ("adapter/*.json", "adapter/*.safetensors", "adapter/checkpoints/*/*", "adapter/config.yaml", "tiny/*"),
        (
            one("compare adapter adapter"),
            one("score adapter labeled --device cpu --samples 2 --only-held-back", every=2),
            one("compare adapter --on labeled", every=2),
            one("export adapter --merge --out out", "out*"),
            one("train {vision} training.max_steps=2", "adapter/*", "adapter", "*.png", every=2),
            one("play --model adapter --goal Open~the~door --dry-run --window no --countdown 0", every=2),
        ),
    ),
    Target("vision.yaml", "torch", ("vision.yaml",), ("vision.yaml",), (one("train --config vision.yaml"),)),
    Target(
        "npz",
        "torch",
        ("npz", "controls"),
        ("npz/r0.npz",),
        (
            one("controls inspect npz"),
            one("controls inspect npz/r0.npz --json"),
            one("controls evaluate controls npz/r0.npz", every=2),
            one("controls train {controls} output=out", "out*", every=4),
            one("play --model controls --features npz/r0.npz --dry-run --max-minutes 0.005", every=2),
        ),
        2,
    ),
    Target(
        "controls model",
        "torch",
        ("npz", "controls"),
        ("controls/*.json", "controls/*.pt", "controls/*.onnx"),
        (
            one("controls evaluate controls npz/r0.npz --page out.html", "out.html"),
            one("controls evaluate controls/control_policy_v2.pt npz --json"),
            one("controls train {controls} training.epochs=2", "controls/*", "controls", every=4),
            one("play --model controls/control_policy_v2.pt --features npz/r0.npz --dry-run --max-minutes 0.005"),
        ),
    ),
    Target(
        "features",
        "torch",
        ("controls", "features.jsonl"),
        ("features.jsonl",),
        (one("play --model controls --features features.jsonl --dry-run --max-minutes 0.005"),),
    ),
    Target(
        "controls.yaml",
        "torch",
        ("controls.yaml",),
        ("controls.yaml",),
        (one("controls train --config controls.yaml"),),
    ),
    Target("torch options", "torch", ("labeled", "npz", "adapter", "controls", "tiny"), (), (), 2),
    Target(
        "zarr",
        "jax",
        ("episodes.zarr", "old.zarr", "clone.yaml"),
        (
            "*.zarr/zarr.json",
            "*.zarr/*/zarr.json",
            "*.zarr/*/*/zarr.json",
            "*.zarr/.z*",
            "*.zarr/*/.z*",
            "*.zarr/*/*/*",
        ),
        (
            one(f"{ANALYZE} --dataset episodes.zarr", ".*"),
            one(f"{ANALYZE} --dataset old.zarr --json", ".*"),
            one(f"{CLONE} training.max_steps=1", "cloned*", ".*", every=8),
            one(f"{CLONE} training.max_steps=1 dataset.path=old.zarr", "cloned*", ".*", every=8),
            one(f"{CLONE} training.checkpoint_dir=out", "out*", ".*", every=8),
        ),
        2,
    ),
    Target(
        "cloned model",
        "jax",
        ("episodes.zarr", "cloned", "clone.yaml"),
        ("cloned/*", "cloned/*/*", "cloned/*/*/*"),
        (
            one("clone compare cloned cloned"),
            one("clone evaluate cloned --no-films --out out", "out*", ".*", every=5),
            one(f"{CLONE} training.max_steps=3", "cloned*", ".*", every=8),
            one("clone rollout cloned --episodes 1 --page out.html", "out.html", ".*", every=8),
            one("clone compare cloned other"),
        ),
    ),
    Target(
        "clone.yaml", "jax", ("clone.yaml",), ("clone.yaml",), (one("clone train --config clone.yaml", "cloned*"),), 2
    ),
    Target("jax options", "jax", ("episodes.zarr", "old.zarr", "cloned", "raw"), (), (), 2),
)
GROUPS: Final = ("light", "torch", "jax")
ORDER: Final = tuple(target for target in TARGETS for _ in range(target.weight))
"""Case N is of target N modulo its length: the same number is the same case, however many are run."""
