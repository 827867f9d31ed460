"""Whether behaviour cloning works on this machine: libraries, devices, a configuration, and a whole run in small."""

import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from protege.errors import MissingExtra, ProtegeError

if TYPE_CHECKING:
    from protege.cloning.config import CloningConfig

LIBRARIES: Final = {
    "jax": "jax",
    "flax": "flax.nnx",
    "optax": "optax",
    "orbax-checkpoint": "orbax.checkpoint",
    "grain": "grain",
    "zarr": "zarr",
    "omegaconf": "omegaconf",
    "matplotlib": "matplotlib",
    "tensorboard": "tensorboard",
    "av": "av",
}
"""By a distribution of the extra `cloning`, the module that is imported of it."""
DOCUMENTED: Final = ((144, 256), 7, 655_623)
"""(height, width), actions and weights of the documented baseline."""


@dataclass(frozen=True)
class Check:
    """One check. found: its result, or what went wrong."""

    name: str
    ok: bool
    found: str


def checks(config: Path | None = None, dataset: Path | None = None) -> Iterator[Check]:
    """Try everything, one after another. config: a YAML file; dataset: a zarr store to open, too."""
    yield _tried("python", lambda: f"{sys.version_info[0]}.{sys.version_info[1]}")
    missing = False
    for name, module in LIBRARIES.items():
        check = _tried(name, lambda name=name, module=module: _imported(name, module))
        missing |= not check.ok
        yield check
    if missing:
        yield Check("the rest", False, "not tried; install with: pip install 'protege[cloning]'")
        return
    yield _tried("devices", _devices)
    yield _tried("configuration", lambda: _configuration(config))
    yield _tried("model", _model)
    yield _tried("training", _training)
    if dataset is not None:
        yield _tried("data set", lambda: _dataset(dataset))


def require_libraries() -> None:
    """MissingExtra where one of LIBRARIES is not installed; imports none of them."""
    for name, module in LIBRARIES.items():
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            raise MissingExtra(name, "cloning")


def _tried(name: str, what: Callable[[], str]) -> Check:
    try:
        return Check(name, True, what())
    except ProtegeError as error:
        return Check(name, False, str(error))
    except Exception as error:  # a broken installation can raise anything, and saying so is what this is for
        return Check(name, False, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _imported(name: str, module: str) -> str:
    importlib.import_module(module)
    return version(name)


def _devices() -> str:
    import jax
    import jax.numpy as jnp

    found = float(jax.jit(lambda x: (x * x).sum())(jnp.arange(4.0)))
    if found != 14:
        raise ArithmeticError(f"0 + 1 + 4 + 9 was computed as {found:g}")
    devices = jax.devices()
    return f"{len(devices)} {devices[0].platform} ({devices[0].device_kind})"


def _configuration(path: Path | None) -> str:
    from protege.cloning.config import load

    loaded = load(path)
    return f"{path or 'the defaults'}: model {loaded.model.name}, data {loaded.dataset.path}"


def _model() -> str:
    """The documented baseline, made and run once."""
    import jax
    import jax.numpy as jnp

    from protege.cloning.config import load
    from protege.cloning.layers import Inputs
    from protege.cloning.steps import Network, Setting

    (height, width), actions, documented = DOCUMENTED
    network = Network(load(), Setting(tuple(f"action_{a}" for a in range(actions)), (), (height, width)))
    inputs = Inputs(jnp.zeros((1, 1, height, width, 3)), jnp.zeros((1, 0, actions)))
    run = jax.jit(lambda key: network.logits(*network.init(key), inputs))
    logits = np.asarray(run(jax.random.key(0)))
    if network.num_weights != documented or logits.shape != (1, 1, actions) or not np.isfinite(logits).all():
        raise ArithmeticError(f"{network.num_weights:,} weights, not {documented:,}; logits {logits.shape}: {logits}")
    return f"pure_cnn at {height}x{width}: {network.num_weights:,} weights, finite logits"


def _training() -> str:
    """Write a data set, train on it, save, load and score."""
    from protege.cloning.checkpoint import load_model
    from protege.cloning.evaluate import evaluate
    from protege.cloning.train import train

    with tempfile.TemporaryDirectory(prefix="protege-setup-") as place:
        folder = Path(place)
        trained = train(_small(folder))
        losses = [loss for _, loss in trained.losses]
        found = evaluate(folder / "model").evaluation
        loaded = load_model(folder / "model")
        again = evaluate(folder / "model").evaluation
        if not np.array_equal(found.predictions.probs, again.predictions.probs):
            raise ArithmeticError("the same weights, loaded twice, predict different things")
        if losses[-1] >= losses[0]:
            raise ArithmeticError(f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f} on what is easy to learn")
    return (
        f"{trained.steps} steps on {len(loaded.about['splits']['train'])} made-up episodes: loss {losses[0]:.3f} to "
        f"{losses[-1]:.3f}, saved, loaded and scored"
    )


def _small(folder: Path) -> "CloningConfig":
    """A run of seconds on a CPU: the brighter side of a frame is the key that is held."""
    import jax

    from protege.cloning.config import load
    from protege.cloning.writer import Writer

    rng = np.random.default_rng(0)
    with Writer(folder / "episodes.zarr", ("left", "right")) as writer:
        for _ in range(4):
            side = rng.integers(0, 2, 16)
            frames = rng.integers(0, 60, (16, 3, 16, 16), dtype=np.uint8)
            for t, right in enumerate(side):
                frames[t, :, :, 8 * right : 8 * right + 8] += 150
            writer.episode(frames, np.stack([side == 0, side == 1], axis=1))
    settings = {
        "dataset.path": folder / "episodes.zarr",
        "model.conv_features": "[8]",
        "model.dense_features": "[8]",
        "model.pool": "keypoints",
        "training.checkpoint_dir": folder / "model",
        "training.batch_size": 8 * jax.device_count(),
        "training.num_epochs": 6,
        "training.learning_rate": 0.02,
        "training.lr_schedule.min_lr": 0.001,
        "system.compile_cache": "null",
    }
    return load(None, [f"{name}={value}" for name, value in settings.items()])


def _dataset(path: Path) -> str:
    from protege.cloning.split import split
    from protege.cloning.store import Dataset

    found = Dataset.open(path)
    if found.problems:
        raise ProtegeError(f"{found.problems[0]} ({len(found.problems)} problems in all)")
    parts = split(found)
    frames = sum(len(episode) for episode in found.episodes)
    width, height = found.frame_size
    return (
        f"{len(found.episodes)} episodes ({len(parts.train)} train, {len(parts.validation)} validation, "
        f"{len(parts.test)} test), {frames:,} frames of {width}x{height}, actions {' '.join(found.keys)}"
    )
