"""Resuming a run: from its last checkpoint or, with other data, from its weights."""

import json
import logging
import shutil
import struct
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protege.core.files import Json, read_bytes, recover, staged
from protege.errors import UserError
from protege.learn.loose import read_loose
from protege.learn.resume import Run, changed, damaged, digest, dotted, require_contained, require_same
from protege.settings import build, read_fields, to_fields
from protege.training.config import VisionConfig
from protege.training.data import LabeledData
from protege.training.earlier import Earlier, base_histories, find_earlier, held_of, histories
from protege.training.score import METRICS
from protege.training.split import Sides, TrainedOn, split, units
from protege.vlm.load import ADAPTER_CONFIG, ADAPTER_WEIGHTS

if TYPE_CHECKING:
    from protege.training.model import Network
    from protege.training.trainer import ActionTrainer

log = logging.getLogger(__name__)

CHECKPOINTS: Final = "checkpoints"
CONFIG_NAME: Final = "config.yaml"
BEFORE: Final = "before"
"""In the folder of checkpoints: adapter and scores of the run before, while a run with other data goes on from it."""
STATE: Final = "trainer_state.json"
MOST_PICTURE_BYTES: Final = 1 << 30


@dataclass(frozen=True)
class Start:
    """What a run begins with.

    run: its record.
    sides: the split of its data; told: the same as a line for the log.
    earlier: what the model was trained on before, None where there is nothing that this run's data does not have.
    checkpoint: to resume from, None for none.
    weights: the folder of an adapter to begin with, None for a new one.
    clear: whether the folder of checkpoints holds another run's, which go.
    done: whether the run is finished already.
    """

    run: Run
    sides: Sides
    told: str
    earlier: Earlier | None = None
    checkpoint: Path | None = None
    weights: Path | None = None
    clear: bool = True
    done: bool = False

    def begin(self, output: Path) -> None:
        """Make the folder of checkpoints this run's; the model in `output` stays as it is."""
        folder = output / CHECKPOINTS
        if not self.clear:
            self.run.save(folder)
            for path in _numbered(folder):
                if self.checkpoint is None or _step(path) > _step(self.checkpoint):
                    shutil.rmtree(path)  # a kill cut its writing off
            return
        with staged(folder, "protege train", replace=True) as part:
            if (folder / "runs").is_dir():
                shutil.copytree(folder / "runs", part / "runs")
            if self.weights is not None:
                (part / BEFORE).mkdir()
                for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
                    shutil.copyfile(self.weights / name, part / BEFORE / name)
                if (self.weights / METRICS).is_file():  # a checkpoint has none
                    shutil.copyfile(self.weights / METRICS, part / BEFORE / METRICS)
            self.run.save(part)


def find_start(config: VisionConfig, data: LabeledData, output: Path) -> Start:
    """Decide where to start; on disk only what a kill left is changed. UserError where the folder holds another run."""
    wanted = config.training.resume
    before = None if wanted == "never" else _before(output)
    if wanted not in ("auto", "never"):
        return _from_checkpoint(config, data, output, Path(wanted), before)
    last = None if before is None else last_checkpoint(output / CHECKPOINTS)
    if before is not None and not (last or before.finished or _weights(output, before, last)):
        before = None
    fresh = _fresh(config, data, before)
    now = fresh.run
    if before is None:
        return fresh
    require_same("vision", _known_then(before), now.settings, output)
    difference = changed(before.data, now.data)
    if before.data and difference:
        was, here = Path(str(before.settings["data.folder"])), Path(config.data.folder)
        named = contents(fresh.earlier.both) if fresh.earlier and config.data.earlier else {}
        own = {folder.name: now.data[folder.name] for folder in data.folders}
        everything = replace(now, data=own | named)
        hint = "name the folder of the old data in data.earlier, "
        require_contained(before, everything, "data.folder", was, here, output, hint=hint)
        log.info("%s: %s; going on from the weights that are there", output, difference)
        return replace(fresh, run=now.after(before), weights=_weights(output, before, last))
    now = replace(now, chain=before.chain, new=before.new, id=before.id)
    done = before.finished and all(
        before.settings.get(name) == now.settings[name] for name in ("training.max_steps", "training.epochs")
    )
    if done:
        if not before.data:
            log.warning("%s: trained before the data of a run was noted; if it is other data now, %s", output, _OVER)
        return replace(fresh, run=replace(now, steps=before.steps), done=True)
    if last is None and before.finished:
        raise UserError(f"{output}: its {CHECKPOINTS} are gone, so it cannot be trained for longer; {_OVER}")
    weights = None if last else _weights(output, before, last)
    return replace(fresh, run=now, checkpoint=last, weights=weights, clear=False)


def _fresh(config: VisionConfig, data: LabeledData, before: Run | None) -> Start:
    """The start of a new run. Its split keeps the sides of the run before, or what the base's run held back."""
    was = Sides.of(before) if before and before.trained else held_of(data, base_histories(config))
    if was is not None and before and not before.data:  # of an older version: what it was not trained on was held back
        was = replace(was, held=frozenset(units(data, was.by)) - was.trained)
    sides, told = split(data, config.data.validation, config.data.split_seed, was)
    earlier = find_earlier(config, data, sides, histories(config, before))
    known, found = settings(config), contents(data)
    if earlier is not None and config.data.rehearsal:
        known |= {"data.rehearsal": config.data.rehearsal, "data.earlier": [str(path) for path in earlier.folders]}
        found |= contents(earlier.both)
    return Start(sides.on(Run(known, found)), sides, told, earlier)


_OVER: Final = "start over with training.resume=never, or choose another output"


def _weights(output: Path, before: Run, last: Path | None) -> Path | None:
    """The adapter that a run with other data goes on from: the best of a finished run, else the newest."""
    places = [output] if before.finished else [*([last] if last else []), output / CHECKPOINTS / BEFORE]
    return next((place for place in places if (place / ADAPTER_WEIGHTS).is_file()), None)


def _from_checkpoint(
    config: VisionConfig, data: LabeledData, output: Path, checkpoint: Path, before: Run | None
) -> Start:
    """training.resume names a checkpoint, of this folder or of another's."""
    if not (checkpoint / STATE).is_file():
        raise UserError(f"training.resume={checkpoint}: no checkpoint there; use auto, never or a checkpoint's folder")
    require_whole(checkpoint)
    own = checkpoint.absolute().parent == (output / CHECKPOINTS).absolute()
    its = before if own else Run.load(checkpoint.parent)
    fresh = _fresh(config, data, its)
    now = fresh.run
    if its is not None:
        require_same("vision", _known_then(its), now.settings, checkpoint)
        if its.data and changed(its.data, now.data):
            raise UserError(
                f"training.resume={checkpoint}: of a run with other data ({changed(its.data, now.data)}); "
                "use training.resume=auto, which goes on from its weights"
            )
        now = replace(now, chain=its.chain, new=its.new, id=its.id)
    return replace(fresh, run=now, checkpoint=checkpoint, clear=not own)


def settings(config: VisionConfig) -> dict[str, Json]:
    """The settings that identify a run. Of batch and accumulation the product counts: memory may divide it anew.
    Those of rehearsal count only where there is something to rehearse, those of history where there is one.
    """
    found = dotted(to_fields(config))
    del found["training.batch"], found["training.accumulation"], found["data.rehearsal"], found["data.earlier"]
    if not config.data.history.frames:
        for name in ("stride", "scale", "dropout"):
            del found[f"data.history.{name}"]
    return {**found, "training.batch * training.accumulation": config.training.batch * config.training.accumulation}


def _known_then(run: Run) -> dict[str, Json]:
    """A run's settings; what it does not say is newer than it, and was at its default."""
    return {**settings(VisionConfig()), **run.settings}


def contents(data: LabeledData) -> dict[str, tuple[str, int]]:
    """By segment, a digest of its samples and pictures, and how many samples. UserError for a picture that is gone."""
    # Pictures count, too: a segment labeled anew may keep its names and get other frames
    parts: dict[str, list[bytes]] = {folder.name: [] for folder in data.folders}
    words = [" | ".join(sorted(set(phrases))) for phrases in data.paraphrases]
    for i in range(len(data)):
        path, goal = data.path(i), int(data.goal[i])
        try:
            picture = digest([read_bytes(path, MOST_PICTURE_BYTES)])
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{path}: cannot be read ({reason}); label its session again") from None
        line = f"{path.name} {data.goals[goal]} {words[goal]} {data.held[i].tolist()} {picture}"
        parts[path.parent.name].append(line.encode("utf-8", "surrogatepass"))
    return {name: (digest(lines), len(lines)) for name, lines in parts.items()}


def _before(output: Path) -> Run | None:
    """The newest run of a folder: the one that its checkpoints are of, else the one that its model is of."""
    folder = output / CHECKPOINTS
    recover(folder)
    model, going = Run.load(output), Run.load(folder)
    if model is not None and model.finished and (going is None or model.id == going.id):
        return model
    return going or model or _older(output)


def _older(output: Path) -> Run | None:
    """A run of a version that wrote no record: its configuration, what its metrics say, and its data unknown."""
    path = output / CONFIG_NAME
    if not path.is_file():
        return None
    config = build(VisionConfig, read_fields(path))
    try:
        metrics = read_loose(output / METRICS)
    except (OSError, ValueError):
        metrics = {}
    known = None
    if isinstance(metrics, dict) and metrics.get("trained_on"):
        known = TrainedOn.from_json(metrics["trained_on"])
    last = last_checkpoint(output / CHECKPOINTS)
    steps, most = read_state(last) if last else (0, 1)
    finished = bool(metrics) and steps >= most
    names = tuple(sorted(known.names)) if known else ()
    by = known.by if known else "recording"
    return Run(settings(config), {}, trained=names, by=by, steps=steps, finished=finished)


def _step(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _numbered(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the newest first, whole or not."""
    found = [path for path in folder.glob("checkpoint-*") if path.is_dir() and path.name[11:].isdecimal()]
    return sorted(found, key=_step, reverse=True)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end. UserError if it, or the only one, is damaged."""
    broken: UserError | None = None
    for path in _numbered(folder):
        if not (path / STATE).is_file():
            continue  # written last, so a kill cut this one off
        try:
            read_state(path)
        except UserError as error:
            broken = broken or error
            continue
        if broken is not None:
            log.warning("%s; going on from %s", broken, path)
        require_whole(path)
        return path
    if broken is not None:
        raise broken
    return None


def read_state(checkpoint: Path) -> tuple[int, int]:
    """A checkpoint's optimiser steps, and those of the whole run; UserError where it does not say."""
    try:
        fields = read_loose(checkpoint / STATE)
        if not isinstance(fields, dict):
            raise TypeError("not an object")
        done, most = fields.get("global_step"), fields.get("max_steps")
        if not isinstance(done, int) or not isinstance(most, int):
            raise TypeError(f"global_step is {done!r}, max_steps {most!r}")
        if not isinstance(fields.get("log_history"), list):
            raise TypeError("log_history is no list")
        return done, most
    except (OSError, ValueError, TypeError) as error:
        raise damaged(checkpoint, f"{STATE}: {error}") from None


def require_whole(checkpoint: Path) -> None:
    """UserError where a file of a checkpoint is not as it was written."""
    for path in sorted(checkpoint.iterdir()):
        try:
            if path.suffix == ".safetensors":
                _require_whole_tensors(path)
            elif path.suffix in (".pt", ".pth", ".bin") and path.is_file():
                with zipfile.ZipFile(path) as archive:
                    if (bad := archive.testzip()) is not None:
                        raise ValueError(f"{bad} is not what was written")
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            others = [other for other in _numbered(checkpoint.parent) if other != checkpoint]
            instead = f"go on from training.resume={others[0]}, or " if others else ""
            raise damaged(checkpoint, f"{path.name}: {error}", instead) from None


def _require_whole_tensors(path: Path) -> None:
    """ValueError unless the file is as long as its header says."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        size = path.stat().st_size
        if length > size - 8:
            raise ValueError("cut off, or not safetensors")
        fields = json.loads(file.read(length))
    ends = [tensor["data_offsets"][1] for name, tensor in fields.items() if name != "__metadata__"]
    if max(ends, default=0) != size - 8 - length:
        raise ValueError("cut off")


def fit(trainer: "ActionTrainer", start: Start, output: Path) -> None:
    """Train to the end of the run; where that was reached before, only take up its best weights."""
    if start.weights is not None and start.checkpoint is None:
        place = output / CHECKPOINTS / BEFORE
        load_adapter(trainer.network, place if place.is_dir() else start.weights)
    if start.checkpoint is None:
        trainer.train()
        return
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(start.checkpoint / STATE))
    if state.global_step < trainer.total_steps() or not (start.checkpoint / ADAPTER_WEIGHTS).is_file():
        trainer.train(resume_from_checkpoint=str(start.checkpoint))
        return
    named = Path(state.best_model_checkpoint or "").name
    best = start.checkpoint.with_name(named) if named.startswith("checkpoint-") else start.checkpoint
    load_adapter(trainer.network, best if (best / ADAPTER_WEIGHTS).is_file() else start.checkpoint)
    trainer.state = state


def load_adapter(model: "Network", folder: Path) -> None:
    """Give the adapter in a model the weights of another run; UserError where they do not fit."""
    from peft import set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = set_peft_model_state_dict(model, load_file(folder / ADAPTER_WEIGHTS))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise damaged(folder, f"{ADAPTER_WEIGHTS}: {error}") from None
    if found.unexpected_keys:
        raise damaged(folder, f"{ADAPTER_WEIGHTS} has weights that the base has no place for")
