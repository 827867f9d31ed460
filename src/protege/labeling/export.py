"""Exports training data as one self-contained folder in the format of other tools: hf, llamafactory, swift, jsonl."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from protege.core.files import Json, staged
from protege.errors import UserError
from protege.labeling.dataset import (
    SEED,
    VALIDATION_SHARE,
    Row,
    Split,
    Trainable,
    divide,
    rows,
    to_dataset,
    trainable,
)
from protege.labeling.store import place

if TYPE_CHECKING:
    import pyarrow

Target = Literal["jsonl", "hf", "llamafactory", "swift"]
TARGETS: Final = get_args(Target)
_BATCH: Final = 200


@dataclass(frozen=True)
class ExportOptions:
    """How training data is exported.

    to: the format
    validation: share of samples held out, by session; 0 for none
    seed: of the choice of sessions
    allow_split_by_segment: hold out segments if there is only one session
    """

    to: Target = "jsonl"
    validation: float = VALIDATION_SHARE
    seed: int = SEED
    allow_split_by_segment: bool = False


def export_folder(folder: Path, out: Path, options: ExportOptions | None = None) -> dict[str, int]:
    """Write the samples under `folder` that may be trained on to the new folder `out`; returns samples by split.

    The folder appears whole or not at all. UserError if it exists with something in it.
    """
    options = options or ExportOptions()
    if options.to not in TARGETS:
        raise UserError(f"--to {options.to}: unknown format; expected one of {', '.join(TARGETS)}")
    found = trainable(folder)
    parts: dict[Split, list[Trainable]] = {"train": found}
    if options.validation:
        parts = divide(
            found,
            seed=options.seed,
            validation=options.validation,
            allow_split_by_segment=options.allow_split_by_segment,
        )
    with suppress(OSError):  # an empty folder is as good as none
        out.rmdir()
    write = _write_parquet if options.to == "hf" else partial(_write_lines, to=options.to)
    with staged(out, "protege export", already="remove it or choose another place with --out") as part:
        counts: dict[Split, int] = {split: write(items, part, split) for split, items in parts.items()}
        _write_description(part, options.to, counts)
    return {**counts}


def _write_lines(found: Sequence[Trainable], out: Path, split: Split, to: Target) -> int:
    """One <split>.jsonl, its pictures under images/<segment>/; returns how many lines."""
    count = 0
    with (out / f"{split}.jsonl").open("w", encoding="utf-8") as file:
        for row in rows(found):
            picture = Path(row["image"])
            image = f"images/{row['segment']}/{picture.name}"
            (out / image).parent.mkdir(parents=True, exist_ok=True)
            place(picture, out / image, f"remove {picture.parent} and label again")
            file.write(json.dumps(_line(row, image, to), ensure_ascii=False) + "\n")
            count += 1
    return count


def _line(row: Row, image: str, to: Target) -> dict[str, Json]:
    """jsonl: as in samples.jsonl, with Qwen's content parts; the others mark the picture's place with <image>."""
    answer: Json = {"role": "assistant", "content": row["completion"]}
    if to == "jsonl":
        content: Json = [{"type": "image", "image": image}, {"type": "text", "text": row["prompt"]}]
        return {"messages": [{"role": "user", "content": content}, answer]}
    return {"messages": [{"role": "user", "content": f"<image>{row['prompt']}"}, answer], "images": [image]}


def _write_parquet(found: Sequence[Trainable], out: Path, split: Split) -> int:
    """A Parquet file with the pictures inside; returns how many rows."""
    data = to_dataset(found).with_format("arrow")
    from datasets.table import embed_table_storage
    from pyarrow.parquet import ParquetWriter

    schema = data.features.arrow_schema
    (out / "data").mkdir(exist_ok=True)
    with ParquetWriter(out / "data" / f"{split}-00000-of-00001.parquet", schema) as writer:
        # a few hundred rows at a time: pictures of a whole recording would not fit into memory
        for batch in data.iter(batch_size=_BATCH):
            writer.write_table(embed_table_storage(cast("pyarrow.Table", batch)).cast(schema))
    return len(data)


def _write_description(out: Path, to: Target, counts: Mapping[Split, int]) -> None:
    """README.md in every format, dataset_info.json for LLaMA-Factory."""
    numbers = ", ".join(f"{count} samples for {split}" for split, count in counts.items())
    head = ""
    if to == "hf":
        files = "".join(f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split in counts)
        head = f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"
    use = {
        "jsonl": "Each line is a chat in the form of Qwen's models; pictures are relative to this folder.",
        "hf": 'Load it with `datasets.load_dataset("<this folder>")`; the pictures are inside.',
        "llamafactory": "Set dataset_dir to this folder, dataset to protege_train, eval_dataset to protege_validation.",
        "swift": "Run ms-swift in this folder, or set ROOT_IMAGE_DIR to it: `swift sft --dataset train.jsonl`.",
    }[to]
    (out / "README.md").write_text(f"{head}# Game play by Protégé\n\n{numbers}.\n\n{use}\n", encoding="utf-8")
    if to == "llamafactory":
        tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
        columns = {"messages": "messages", "images": "images"}
        common = {"formatting": "sharegpt", "columns": columns, "tags": tags}
        info = {f"protege_{split}": {"file_name": f"{split}.jsonl", **common} for split in counts}
        (out / "dataset_info.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
