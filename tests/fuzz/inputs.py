"""Sound inputs of every format, made small with our own writers and commands; the cases break copies of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from protege.core import Session
from protege.core.events import Motion
from protege.core.looking import look
from protege.core.session import rewrite_events
from tests import forked
from tests.cloning.stores import store, store_2
from tests.labeling.recordings import HOLD, record
from tests.recorder.foreign import OWAMCAP, origin, video

GOALS: Final = [(0, "Go to the lantern", 10, "success"), (10, "Open the door", 20, "success")]
HELD: Final = (("w", 5), ("wr", 3), ("none", 2), ("right", 5), ("w", 5))
"""What is held, and for how many frames."""
TINY_CLONE: Final = (
    *("model.name=pure_cnn", "model.conv_features=[4,8]", "model.dense_features=[8]", "system.compile_cache=null"),
    *("dataset.path=episodes.zarr", "training.checkpoint_dir=cloned", "training.batch_size=8"),
    *("training.num_epochs=1", "training.max_steps=2", "dataset.train_ratio=0.5", "dataset.val_ratio=0.25"),
)
TINY_CONTROLS: Final = (
    *("data.recordings=[npz]", "output=controls", "training.epochs=1", "model.d_model=16", "model.nhead=2"),
    *("model.num_layers=1", "model.dim_feedforward=32", "training.device=cpu", "training.threads=1"),
)
TINY_VISION: Final = (
    *("model.base=tiny", "data.folder=labeled", "output=adapter", "model.four_bit=false", "model.device=cpu"),
    *("data.workers=0", "data.validation=0.5", "training.batch=2", "training.accumulation=1", "training.max_steps=1"),
    *("training.report_to=none", "training.score_samples=2", "training.gradient_checkpointing=false", "lora.r=2"),
)


def make(root: Path, group: str) -> None:
    """Fill `root` with a folder for each format that the cases of a group need; models are trained, which takes
    seconds."""
    sessions(root)
    texts(root)
    _yaml(root)
    if group in ("light", "torch"):
        line = ["label", "--raw", "raw", "--backend", "given", "--out", "labeled", "--seconds", "1"]
        forked.run([[*line, "--paraphrases", "1"]], root)
    if group == "light":
        pictures_and_videos(root)
    if group in ("light", "jax"):
        store(root / "episodes.zarr", (5, 4, 6, 4), state=2, goals=("Go to the lantern", "Open the door", "", ""))
        store_2(root / "old.zarr", (3, 3, 4, 3))
    if group == "jax":
        forked.run([["clone", "train", "--config", "clone.yaml"], ["clone", "evaluate", "cloned", "--no-films"]], root)
    if group == "torch":
        _torch(root)


def _torch(root: Path) -> None:
    from protege.controls.recordings import write
    from protege.controls.synth import SynthOptions, synthesize

    (root / "npz").mkdir()
    for seed in range(3):
        write(synthesize(seed, "inventory", SynthOptions(frames=70)), root / "npz" / f"r{seed}.npz")

    def base() -> int:
        from protege.vlm.tiny import build_tiny

        build_tiny(root / "tiny", size="nano")
        return 0

    _done(base, root)
    forked.run([["train", "--config", "vision.yaml"]], root)
    forked.run([["controls", "train", "--config", "controls.yaml"]], root)


def sessions(root: Path) -> None:
    held = [HOLD[name] for name, frames in HELD for _ in range(frames)]
    for number in range(2):
        record(root / "raw", held, f"s{number}", GOALS, extra={"arena": {"seed": number}}, start_ns=10**9)
    shutil.copytree(root / "raw" / "s0", root / "runs" / "run0")
    path = root / "runs" / "run0" / "session.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "source": "agent"}))

    moused(root)


def moused(root: Path) -> None:
    """The first recording once more, with a mouse that moves all the time."""
    folder = root / "moused" / "s0"
    shutil.copytree(root / "raw" / "s0", folder)
    path = folder / "session.json"
    fields = json.loads(path.read_text())
    fields["action_space"]["look"] = look().to_json()
    path.write_text(json.dumps({**fields, "format_version": 2}))
    session = Session.open(folder)
    moves = [Motion(int(t_ns) + step * 5_000_000, step - 3, 40) for t_ns in session.t_ns for step in range(10)]
    rewrite_events(folder, sorted([*session.events, *moves], key=lambda event: event.t_ns))


def pictures_and_videos(root: Path) -> None:
    foreign = root / "foreign"
    foreign.mkdir()
    video(foreign / "clip.mp4", 12)
    (root / "owa").mkdir()
    for end in ("mcap", "mkv"):
        shutil.copyfile(OWAMCAP / f"0.4.2.{end}", root / "owa" / f"0.4.2.{end}")
    origin(root / "origin", [(1000 + 100 * i, ["w", "w+right", "none"]) for i in range(5)])


def texts(root: Path) -> None:
    (root / "goals.txt").write_text("# goals\nGo to the lantern\nOpen the door\n")
    lines = [{"frame": [0.5] * 260, "state": {"health": 20}}, {"frame": None}, {"frame": [0.1] * 260}]
    (root / "features.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / "file").write_text("some text\n")
    (root / "folder").mkdir()
    (root / "folder" / "note.txt").write_text("a note\n")


def _yaml(root: Path) -> None:
    from omegaconf import OmegaConf

    for name, lines in (("clone", TINY_CLONE), ("controls", TINY_CONTROLS), ("vision", TINY_VISION)):
        OmegaConf.save(OmegaConf.from_dotlist(list(lines)), root / f"{name}.yaml")


def _done(work: Callable[[], int], root: Path) -> None:
    output = root.parent / f"{root.name}.output"
    ended = forked.Fork(work, root, output).poll(wait=True)
    assert ended is not None
    assert ended.code == 0, output.read_text(errors="replace")[-3000:]
