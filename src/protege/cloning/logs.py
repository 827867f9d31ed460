"""A run's metrics: always in a local log, in TensorBoard and Weights & Biases where they are asked for."""

import importlib.util
import json
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from protege.cloning.config import CloningConfig
from protege.core.files import write_text
from protege.errors import MissingExtra, ProtegeError, UserError
from protege.settings import to_fields

if TYPE_CHECKING:
    import wandb

LOG_NAME: Final = "log.jsonl"


class Log:
    """Writes {"step": …, "name": value} rows once `open` was called; a context manager that closes it."""

    def __init__(self, folder: Path, config: CloningConfig) -> None:
        """UserError where a library that the configuration asks for is missing."""
        options = config.logging
        if options.use_tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise MissingExtra("tensorboard", "cloning")
        if options.use_wandb and importlib.util.find_spec("wandb") is None:
            raise UserError("logging.use_wandb=true, but wandb is not installed; install it with: pip install wandb")
        self._folder, self._config = folder, config
        self._file: IO[str] | None = None
        self._run: dict[str, int] = {}
        self._tensorboard: _Scalars | None = None
        self._wandb: wandb.Run | None = None

    def open(self, step: int = 0, run: int = 0) -> None:
        """Make the folder and continue the log in it. ProtegeError where Weights & Biases does not start.

        step: of the last checkpoint; rows after it, of a run that was killed before the next, are deleted
        run: how many runs on other data there were before this one; their rows stay
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = {"run": run} if run else {}
        path = self._folder / LOG_NAME
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            kept = [line for line in lines if _before(line, step, run)]
            if len(kept) < len(lines):
                write_text(path, "".join(kept))
        if self._config.logging.use_wandb:
            self._wandb = _wandb(self._folder, self._config)
        if self._config.logging.use_tensorboard:
            self._tensorboard = _Scalars(self._folder / "tensorboard")
        self._file = (self._folder / LOG_NAME).open("a", encoding="utf-8")

    def write(self, step: int, **numbers: float) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"step": step, **self._run, **numbers}) + "\n")
            self._file.flush()
        if self._tensorboard is not None:
            for name, value in numbers.items():
                self._tensorboard.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(numbers, step=step)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._tensorboard is not None:
            self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.finish()


def _before(line: str, step: int, run: int) -> bool:
    """Whether a row is of an earlier run, or of this one up to a step; a row that a kill truncated is not."""
    try:
        row = json.loads(line)
        return line.endswith("\n") and (int(row.get("run", 0)), int(row["step"])) <= (run, step)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


class _Scalars:
    """TensorBoard's own writer, which needs no TensorFlow."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(folder))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        summary = self._summary(value=[self._summary.Value(tag=name, simple_value=value)])
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        self._writer.close()


def _wandb(folder: Path, config: CloningConfig) -> "wandb.Run":
    import wandb

    options = config.logging
    try:
        return wandb.init(
            project=options.wandb_project,
            entity=options.wandb_entity,
            name=options.wandb_run_name,
            mode="online" if options.wandb_mode == "online" else "offline",
            dir=str(folder),
            config=to_fields(config),
        )
    except wandb.Error as error:
        raise ProtegeError(f"wandb: {' '.join(str(error).split())[:200]}; or set logging.use_wandb=false") from error
