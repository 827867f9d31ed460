"""Writes training data as one self-contained folder in the format of other tools: hf, llamafactory, swift, jsonl."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from protege.core.files import staged
from protege.errors import MissingExtra, UserError
from protege.labeling.dataset import SEED, VALIDATION_SHARE, load, rows, split_segments, trainable
from protege.labeling.store import place

Target = Literal["jsonl", "hf", "llamafactory", "swift"]
TARGETS: Final = get_args(Target)
_BATCH: Final = 200


@dataclass(frozen=True)
class ExportOptions:
    """to: the format; validation: the share held out, by session, or 0 for none; seed: of that choice;
    allow_split_by_segment: hold out segments where there is only one session."""

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
    splits = _splits(folder, options)
    with suppress(OSError):  # an empty folder is as good as none
        out.rmdir()
    with staged(out, "protege export", already="remove it or choose another place with --out") as part:
        if options.to == "hf":
            counts = _write_parquet(folder, part, options)
        else:
            counts = {split: _write_lines(folder, part, split, names, options.to) for split, names in splits.items()}
        _write_description(part, options.to, counts)
    return counts


def _splits(folder: Path, options: ExportOptions) -> dict[str, set[str]]:
    """The names of the segments in each split."""
    found = trainable(folder)
    if not options.validation:
        return {"train": {item.segment.name for item in found}}
    train, held_out = split_segments(
        [(item.family, item.segment.name, item.samples) for item in found],
        seed=options.seed,
        validation=options.validation,
        allow_split_by_segment=options.allow_split_by_segment,
    )
    return {"train": train, "validation": held_out}


def _write_lines(folder: Path, out: Path, split: str, names: set[str], to: Target) -> int:
    """One <split>.jsonl, its pictures under images/<segment>/."""
    found = [item for item in trainable(folder) if item.segment.name in names]
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


def _line(row: dict[str, Any], image: str, to: Target) -> dict[str, Any]:
    """jsonl: as in samples.jsonl, with Qwen's content parts; the others mark the picture's place with <image>."""
    if to == "jsonl":
        content = [{"type": "image", "image": image}, {"type": "text", "text": row["prompt"]}]
        return {"messages": [{"role": "user", "content": content}, _assistant(row)]}
    user = {"role": "user", "content": f"<image>{row['prompt']}"}
    return {"messages": [user, _assistant(row)], "images": [image]}


def _assistant(row: dict[str, Any]) -> dict[str, str]:
    return {"role": "assistant", "content": row["completion"]}


def _write_parquet(folder: Path, out: Path, options: ExportOptions) -> dict[str, int]:
    """Parquet files with the pictures inside, a few hundred rows at a time."""
    try:
        import pyarrow.parquet as parquet
        from datasets.table import embed_table_storage
    except ImportError:
        raise MissingExtra("datasets", "vision") from None
    counts: dict[str, int] = {}
    for split in ("train", "validation") if options.validation else ("train",):
        data = load(
            folder,
            split if options.validation else None,
            seed=options.seed,
            validation=options.validation or VALIDATION_SHARE,
            allow_split_by_segment=options.allow_split_by_segment,
        ).with_format("arrow")
        schema = data.features.arrow_schema
        (out / "data").mkdir(exist_ok=True)
        with parquet.ParquetWriter(out / "data" / f"{split}-00000-of-00001.parquet", schema) as writer:
            for start in range(0, len(data), _BATCH):
                table: Any = data[start : start + _BATCH]
                writer.write_table(embed_table_storage(table).cast(schema))
        counts[split] = len(data)
    return counts


def _write_description(out: Path, to: Target, counts: dict[str, int]) -> None:
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
        info = {
            f"protege_{split}": {
                "file_name": f"{split}.jsonl",
                "formatting": "sharegpt",
                "columns": columns,
                "tags": tags,
            }
            for split in counts
        }
        (out / "dataset_info.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
