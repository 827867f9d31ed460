"""Spreads the questions over many machines with Ray Data; each worker holds a labeler of another kind."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from protege.errors import MissingExtra
from protege.labeling.backends.base import Answer, Labeler, Question

if TYPE_CHECKING:
    from ray.actor import ActorHandle

Row = dict[str, Any]
"""The fields of a question or an answer: Ray Data knows columns of values, not our classes."""


@dataclass
class RayCluster:
    """A labeler on many machines.

    inner: each worker's labeler, sent there before it loads its model
    workers: number of workers
    gpus, cpus: of each worker
    batch: questions sent together
    address: of a running cluster; None starts a local one
    """

    inner: Labeler
    workers: int = 1
    gpus: float = 0.0
    cpus: float = 1.0
    batch: int = 8
    address: str | None = None
    _actors: list["ActorHandle"] = field(default_factory=list, repr=False)

    @property
    def name(self) -> str:
        return self.inner.name

    def answers(self, questions: Iterable[Question]) -> Iterator[Answer]:
        try:
            import ray
            import ray.data
        except ImportError:
            raise MissingExtra("ray", "ray") from None
        if not ray.is_initialized():
            ray.init(address=self.address, include_dashboard=False, log_to_driver=False)
        if not self._actors:
            remote = ray.remote(_Worker).options(num_cpus=self.cpus, num_gpus=self.gpus)
            made = [remote.remote(self.inner) for _ in range(self.workers)]
            self._actors += cast("list[ActorHandle]", made)
        rows = [vars(question) for question in questions]
        if not rows:
            return
        # What the function below names is sent to the workers: not `self`, whose actors know their own cluster only.
        actors, size = self._actors, self.batch

        def ask(batch: Any) -> Row:
            """One batch, answered by one of the workers that outlive the data set: a model is loaded only once."""
            worker = actors[int(batch["number"][0]) // size % len(actors)]
            count = len(batch["number"])
            found = ray.get(worker.ask.remote([{key: batch[key][i] for key in batch} for i in range(count)]))
            return {key: np.array([answer[key] for answer in found], dtype=object) for key in found[0]}

        data = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size))
        answered = data.map_batches(ask, batch_size=size, num_cpus=0.1, concurrency=len(actors))
        for row in answered.iter_rows():
            yield Answer(int(row["number"]), row["text"], row["problem"] or None, bool(row["failed"]))

    def close(self) -> None:
        """Let go of the workers; the cluster itself goes on."""
        if self._actors:
            import ray

            for actor in self._actors:
                ray.kill(actor)
            self._actors.clear()


class _Worker:
    """Lives on one machine and keeps its model."""

    def __init__(self, inner: Labeler) -> None:
        self.inner = inner

    def ask(self, rows: list[Row]) -> list[Row]:
        questions = [Question(int(r["number"]), r["text"], r["picture"]) for r in rows]
        # A column of texts has no None.
        return [vars(answer) | {"problem": answer.problem or ""} for answer in self.inner.answers(questions)]
