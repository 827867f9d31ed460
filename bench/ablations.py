"""python -m bench ablations: which choices of training play better? Each against the present default, by playing.

Every variant changes one setting of the demo's recipe for the tiny vision model or for the policy from pixels, trains
for as many samples (fewer, where a sample costs more), and plays the same rooms, which nothing was trained on.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protege.core.files import Json, read_json, write_json, write_text
from protege.core.session import find_sessions
from protege.errors import ProtegeError, UserError
from protege.evaluation.arena import wilson
from protege.evaluation.figures import Figure

if TYPE_CHECKING:
    from protege.demo.places import Places

ROOMS: Final = 60_000
"""The first room to play in."""
DEFAULT: Final = "default"
RESULT: Final = "result.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Variant:
    """overrides: of the training configuration; length: of training, as a share of the default's, where a step costs
    more; tau_ms: reaction time that labels assume; noise: slips of the expert, None as in the demo; size: (width,
    height) of pictures, None as in the demo; rooms: how many times as many demonstrations.
    """

    overrides: tuple[str, ...] = ()
    length: float = 1.0
    tau_ms: float = 0.0
    noise: float | None = None
    size: tuple[int, int] | None = None
    rooms: int = 1


VLM: Final[Mapping[str, Variant]] = {
    DEFAULT: Variant(),
    "brightness": Variant(("augment.brightness=0.2",)),
    "shift": Variant(("augment.shift=4",)),
    "flip": Variant(("augment.flip=0.5",)),
    "balance": Variant(("data.balance=true",)),
    "changes_3": Variant(("data.change_weight=3",)),
    "lora_8": Variant(("lora.r=8", "lora.alpha=8")),
    "lora_128": Variant(("lora.r=128", "lora.alpha=128")),
    "tau_100": Variant(tau_ms=100.0),
    "larger": Variant(("data.frame_size=[224,168]",), length=0.5),
    "rooms_3": Variant(rooms=3),
    "history": Variant(
        ("data.history.frames=3", "data.history.stride=12", "data.history.scale=0.75", "data.history.dropout=0.1")
    ),
}
PIXELS: Final[Mapping[str, Variant]] = {
    DEFAULT: Variant(),
    "no_augmentation": Variant(
        ("dataset.augment.crop=0", "dataset.augment.brightness=0", "dataset.augment.contrast=0")
    ),
    "changes_3": Variant(("training.loss.onset_weight=3",)),
    "class_weights": Variant(("training.use_class_weights=true",)),
    "best_loss": Variant(("evaluation.best=loss",)),
    "no_slips": Variant(noise=0.0),
    "larger": Variant(length=0.5, size=(128, 96)),
    "rooms_3": Variant(length=1 / 3, rooms=3),
}
POLICIES: Final = {"vlm": VLM, "pixels": PIXELS}


@dataclass(frozen=True)
class AblationsBench:
    """policy: "vlm" or "pixels"; variants: names, all without; seeds: of training; demonstrations: episodes to learn
    from; steps: of the vision model, epochs: of the other; episodes: rooms to play; folder: where everything is kept,
    None nowhere.
    """

    policy: str = "vlm"
    variants: tuple[str, ...] = ()
    seeds: int = 1
    demonstrations: int = 430
    steps: int = 400
    epochs: int = 10
    episodes: int = 400
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UserError(f"--policy {self.policy}: expected {' or '.join(POLICIES)}")
        if unknown := [name for name in self.variants if name not in self.known]:
            raise UserError(f"--variant {unknown[0]}: expected one of {', '.join(self.known)}")

    @property
    def known(self) -> Mapping[str, Variant]:
        """The policy's variants by name."""
        return POLICIES[self.policy]


def run(bench: AblationsBench, say: Say = lambda text: None) -> list[Figure]:
    """How many rooms each variant wins, over all seeds."""
    import torch

    torch.set_num_threads(1)
    names = [DEFAULT, *(name for name in bench.variants or bench.known if name != DEFAULT)]
    with tempfile.TemporaryDirectory(prefix="protege-bench-") as name:
        root = bench.folder or Path(name)
        found = {
            name: [_one(bench, name, seed, root, say) for seed in range(bench.seeds)] for name in names
        }  # fmt: skip
    won = {name: sum(int(str(each["won"])) for each in results) for name, results in found.items()}
    best = max(won, key=lambda name: won[name])
    figures = [_figure(f"success_{bench.policy}_{name}", results) for name, results in found.items()]
    return [*figures, Figure("best_variant", best, f"{best}: it reached most goals, which intervals may not bear out")]


def _figure(key: str, results: Sequence[Mapping[str, Json]]) -> Figure:
    won, of = (sum(int(str(each[name])) for each in results) for name in ("won", "of"))
    low, high = wilson(won, of)
    each = ", ".join(str(result["won"]) for result in results)
    seconds = sum(float(str(result["train_cpu_s"])) for result in results) / len(results)
    value: dict[str, Json] = {"rate": round(won / of, 4), "low": round(low, 4), "high": round(high, 4)}
    text = f"{won / of:.1%} of {of} ({low:.1%} to {high:.1%}); won by seed {each}; {seconds:.0f} s of CPU to train"
    return Figure(key, {**value, "won": [result["won"] for result in results], "train_cpu_s": round(seconds)}, text)


def _one(bench: AblationsBench, name: str, seed: int, root: Path, say: Say) -> Mapping[str, Json]:
    """One variant with one seed: trained, played, and its result kept in its folder."""
    from protege.evaluation.episodes import Player, jobs, play_all

    folder = root / f"{bench.policy}_{name}_{seed}"
    if (folder / RESULT).exists():
        return read_json(folder / RESULT)
    say(f"{name}, seed {seed}: training")
    train = _train_vlm if bench.policy == "vlm" else _train_pixels
    began = time.process_time()
    model = train(bench, bench.known[name], seed, root, folder, say)
    seconds = time.process_time() - began
    results = play_all(Player(str(model), device="cpu"), jobs(ROOMS, bench.episodes), say=say)
    result: dict[str, Json] = {
        "won": sum(each.success for each in results),
        "of": len(results),
        "wrong_object": sum(each.end == "wrong_object" for each in results),
        "gave_up": sum(each.end == "gave_up" for each in results),
        "train_cpu_s": round(seconds, 1),
    }
    write_json(folder / RESULT, result)
    say(f"{name}, seed {seed}: {result}")
    return result


def _train_vlm(bench: AblationsBench, variant: Variant, seed: int, root: Path, folder: Path, say: Say) -> Path:
    from protege.demo.places import Places
    from protege.demo.scale import Scale
    from protege.demo.stages import recipe
    from protege.labeling import Given, LabelOptions, label
    from protege.settings import load_config, to_yaml
    from protege.training.config import VisionConfig
    from protege.training.run import train
    from protege.vlm.tiny import copy_base

    count = bench.demonstrations * variant.rooms
    places = Places(root / f"{count}_demonstrations")
    _record(places, count)
    labeled = places.root / f"labeled_{variant.tau_ms:g}"
    result = label(find_sessions(places.episodes), labeled, Given(), LabelOptions(tau_ms=variant.tau_ms))
    if result.problems:
        raise ProtegeError(result.problems[0])
    if not places.base.exists():
        copy_base(places.base)
    config = recipe(places, Scale(steps=round(bench.steps * variant.length)))
    config = replace(
        config,
        output=str(folder),
        data=replace(config.data, folder=str(labeled)),
        training=replace(config.training, seed=seed),
    )
    path = folder.with_suffix(".yaml")
    write_text(path, to_yaml(config))
    if train(load_config(VisionConfig, path, variant.overrides)).interrupted:
        raise KeyboardInterrupt
    return folder


def _record(places: "Places", demonstrations: int) -> None:
    """The demo's demonstrations; those that are there are kept."""
    from protege.arena.record import record_episodes
    from protege.demo.scale import Scale
    from protege.demo.stages import EPISODE_SIZE, EPISODES_SEED, NOISE

    for task, count in Scale().tasks(demonstrations).items():
        record_episodes(places.episodes, count, EPISODES_SEED, EPISODE_SIZE, NOISE, task=task)


def _train_pixels(bench: AblationsBench, variant: Variant, seed: int, root: Path, folder: Path, say: Say) -> Path:
    from protege.arena.record_steps import record_steps
    from protege.cloning.config import load
    from protege.cloning.episodes import StepStore
    from protege.cloning.train import train
    from protege.core.actions import KEYBOARD_12
    from protege.demo.pixels import NOISE, SEED, SIZE, recipe
    from protege.demo.places import Places
    from protege.demo.scale import Scale
    from protege.settings import to_yaml

    noise = NOISE if variant.noise is None else variant.noise
    size = variant.size or SIZE
    total = bench.demonstrations * variant.rooms
    store = root / f"episodes_{total}_{size[0]}x{size[1]}_{noise:g}.zarr"
    with StepStore(store, KEYBOARD_12.pressable, size, source="arena") as kept:
        for task, count in Scale().tasks(total).items():
            record_steps(kept, count, SEED, noise, task=task, corrected=True)
    epochs = max(1, round(bench.epochs * variant.length))
    config = recipe(Places(root), Scale(epochs=epochs))
    config = replace(
        config,
        dataset=replace(config.dataset, path=str(store)),
        training=replace(config.training, checkpoint_dir=str(folder)),
        evaluation=replace(config.evaluation, eval_every_n_epochs=epochs),
        system=replace(config.system, seed=seed),
    )
    path = folder.with_suffix(".yaml")
    write_text(path, to_yaml(config))
    if train(load(path, variant.overrides)).interrupted:
        raise KeyboardInterrupt
    return folder
