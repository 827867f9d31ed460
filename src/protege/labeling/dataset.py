"""Labeled segments as a Hugging Face data set, pictures decoded only when they are looked at; split by session."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from protege.core.chat import Sample, prompt, reply
from protege.core.labeled import LABELED, NEEDS_REVIEW, SAMPLES, LabeledSegment, find_segments, read_samples
from protege.core.once import relatives, repeated
from protege.errors import MissingExtra, UserError
from protege.labeling.store import count_samples, require_jpeg
from protege.learn.split import hold_out

if TYPE_CHECKING:
    from datasets import Dataset

Split = Literal["train", "validation"]
VALIDATION_SHARE: Final = 0.1
SEED: Final = 0
_NAME: Final = re.compile(r"frame_([0-9]{4,9})\.jpg")


def load(
    folder: Path | str,
    split: Split | None = None,
    *,
    seed: int = SEED,
    validation: float = VALIDATION_SHARE,
    allow_split_by_segment: bool = False,
) -> "Dataset":
    """The samples under `folder` that may be trained on, or those of one split.

    Columns are the fields of `Row`; an image is decoded when it is read. Whole sessions go to validation, at least
    `validation` of all samples; segments of a single session only with `allow_split_by_segment`, since neighbouring
    frames are nearly equal.
    """
    found = trainable(Path(folder))
    if split is not None:
        parts = divide(found, seed=seed, validation=validation, allow_split_by_segment=allow_split_by_segment)
        found = parts[split]
    return to_dataset(found)


@dataclass(frozen=True)
class Trainable:
    """A segment that may be trained on.

    repeated: its frames (from 0) that another segment has, too
    samples: how many it has without them
    family: the first session, by name, of those that share play with its own
    """

    segment: LabeledSegment
    folder: Path
    repeated: frozenset[int]
    samples: int
    family: str


def trainable(folder: Path) -> list[Trainable]:
    """All segments under `folder` that may be trained on, every frame of play once; UserError if there are none."""
    paths = find_segments(folder)
    if not paths:
        raise UserError(f"{folder}: no labeled segments; make some with: protege label")
    segments = [(LabeledSegment.load(path), path) for path in paths]
    used = [(segment, path) for segment, path in segments if segment.status == LABELED and count_samples(path)]
    whole = [segment for segment, _ in used]
    found: list[Trainable] = []
    for (segment, path), again, family in zip(used, repeated(whole), relatives(whole), strict=True):
        count = sum(1 for _ in _samples(segment, path, again)) if again else count_samples(path)
        if count:
            found.append(Trainable(segment, path, again, count, family))
    if not found:
        waiting = sum(s.status == NEEDS_REVIEW for s, _ in segments)
        why = f"{waiting} need review" if waiting else segments[0][0].why or "they hold no samples"
        raise UserError(f"{folder}: {len(segments)} segments, none to train on: {why}")
    return found


def _samples(segment: LabeledSegment, path: Path, repeated: frozenset[int]) -> Iterator[tuple[int, Sample]]:
    """(frame, sample) of a segment, without its repeated frames."""
    for sample in read_samples(path / SAMPLES, segment.space, segment.shape.horizon):
        if not (number := _NAME.fullmatch(sample.image)):
            raise UserError(
                f"{path / SAMPLES}: the picture {sample.image[:60]!r}, expected one like frame_0000.jpg; "
                f"remove {path} and label again"
            )
        if int(number[1]) not in repeated:
            yield int(number[1]), sample


class Row(TypedDict):
    """A sample with its picture's path, the words of a chat, and where it comes from; frame counts from its segment."""

    image: str
    goal: str
    paraphrases: list[str]
    actions: list[str]
    prompt: str
    completion: str
    session: str
    segment: str
    frame: int


def rows(found: Sequence[Trainable]) -> Iterator[Row]:
    """The samples of segments one by one; UserError names a bad line or picture."""
    for item in found:
        segment, path = item.segment, item.folder
        for frame, sample in _samples(segment, path, item.repeated):
            require_jpeg(path / sample.image, f"remove {path} and label again")
            yield Row(
                image=str(path / sample.image),
                goal=sample.goal,
                paraphrases=list(segment.paraphrases),
                actions=[segment.space.spell(step) for step in sample.plan.steps],
                prompt=prompt(sample.goal, segment.shape.horizon),
                completion=reply(sample.plan, segment.space),
                session=segment.session,
                segment=segment.name,
                frame=frame,
            )


def to_dataset(found: Sequence[Trainable]) -> "Dataset":
    """The samples of segments as a Hugging Face data set, a column for each field of `Row`."""
    try:
        from datasets import Dataset, Features, Image, List, Value
    except ImportError:
        raise MissingExtra("datasets", "vision") from None
    text = Value("string")
    kinds = {str: text, list[str]: List(text), int: Value("int32")}
    columns = {name: kinds[kind] for name, kind in Row.__annotations__.items()}
    return Dataset.from_list([{**row} for row in rows(found)], features=Features({**columns, "image": Image()}))


def divide(
    found: Sequence[Trainable], *, seed: int, validation: float, allow_split_by_segment: bool
) -> dict[Split, list[Trainable]]:
    """Segments by split, see `split_segments`."""
    sizes = [(item.family, item.segment.name, item.samples) for item in found]
    train, _ = split_segments(sizes, seed=seed, validation=validation, allow_split_by_segment=allow_split_by_segment)
    return {
        "train": [item for item in found if item.segment.name in train],
        "validation": [item for item in found if item.segment.name not in train],
    }


def split_segments(
    segments: Sequence[tuple[str, str, int]], *, seed: int, validation: float, allow_split_by_segment: bool
) -> tuple[set[str], set[str]]:
    """The names of the segments to train on and of those held out, from (family, segment, samples).

    The same seed and segments give the same split, whatever their order.
    """
    if not 0 < validation < 1:
        raise UserError(f"the validation share is {validation}, expected a number between 0 and 1")
    by_segment = allow_split_by_segment and len({session for session, _, _ in segments}) == 1
    unit = {segment: segment if by_segment else session for session, segment, _ in segments}
    sizes: dict[str, int] = {}
    for _, segment, count in segments:
        sizes[unit[segment]] = sizes.get(unit[segment], 0) + count
    if len(sizes) < 2:
        what = "segment" if by_segment else "session"
        hint = "record a second one" if by_segment else "record a second one, or pass --allow-split-by-segment"
        raise UserError(f"only one {what} ({next(iter(sizes))}), so none can be held out for validation; {hint}")
    held_out = hold_out(sizes, validation, seed)
    validate = {segment for segment, name in unit.items() if name in held_out}
    return unit.keys() - validate, validate
