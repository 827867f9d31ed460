"""Files beside trained weights (processor, card, metrics, curves, README.md), merging and uploading."""

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protege.core.card import CARD_NAME, ModelCard
from protege.core.files import Json, write_bytes, write_json, write_text
from protege.core.together import require_settled
from protege.errors import ProtegeError, UserError
from protege.learn import pages
from protege.learn.loose import read_loose
from protege.training.score import METRICS, NUMBERS, Scores, plain, table
from protege.vlm.load import base_of, is_adapter, load_model, load_processor, without_bars
from protege.vlm.tiny import filling, require_free, save_processor

if TYPE_CHECKING:
    from transformers import Qwen3VLProcessor

BEFORE: Final = "before"
"""In metrics.json: scores of the model that this one went on from, in the recordings held back then."""


def write_outputs(
    folder: Path,
    card: ModelCard,
    processor: "Qwen3VLProcessor",
    scores: Scores | None,
    about: Mapping[str, Json],
    history: Sequence[Mapping[str, float]],
) -> None:
    """Write everything that lies beside a model's weights.

    scores: None where no sample was held back.
    about: what else metrics.json says, such as trained_on (`TrainedOn.to_json()`).
    history: what was logged in training.
    """
    save_processor(processor, folder)
    card.save(folder)
    write_json(folder / METRICS, {**(scores.to_json() if scores else {}), **plain({**about, "history": history})})
    write_text(folder / "README.md", readme(card, scores))
    if importlib.util.find_spec("matplotlib") is not None:
        write_bytes(folder / "curves.png", curves(history))


def read_metrics(folder: Path) -> dict[str, Json]:
    """metrics.json of a model's folder; UserError where it was not scored."""
    require_settled(folder)
    path = folder / METRICS
    try:
        fields = read_loose(path)
        if not isinstance(fields, dict):
            raise ValueError(f"an object was expected, not a {type(fields).__name__}")
        history = fields.get("history", [])
        if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
            raise ValueError("its history is no list of objects")
        return dict(fields)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); score the model with: protege score {folder}") from None


def scores_before(folder: Path) -> dict[str, Json]:
    """For metrics.json of a model that goes on from the one in `folder`: the scores of that one, if there are any."""
    try:
        found = read_metrics(folder)
    except UserError:
        return {}
    kept = {name: found[name] for name in ("samples", *NUMBERS.values()) if name in found}
    return {BEFORE: kept} if "first_action_accuracy" in kept else {}


def readme(card: ModelCard, scores: Scores | None) -> str:
    """The model card that people read, with the front matter that the hub reads."""
    base = card.base_model
    named = f"base_model: {base}\n" if not Path(base).exists() and base.count("/") == 1 else ""
    numbers = "Nothing was scored: no samples were held back, or training was interrupted."
    if scores:
        numbers = f"On {scores.samples} held-back samples:\n\n```\n{table(scores.columns('this model'))}\n```"
    width, height = card.frame_size
    frame = f"{width}x{height} frame"
    if card.history is not None:
        frame += f", up to {card.history.frames} earlier ones (every {card.history.stride} frames)"
    return (
        f"---\nlibrary_name: peft\npipeline_tag: image-text-to-text\n{named}tags: [protege, lora]\n---\n\n"
        "# A game-playing adapter\n\n"
        f"Made by Protégé on `{base}`. From a {frame} and a goal it predicts the next {card.horizon} "
        f"actions at {card.frame_hz:g} Hz, out of: {', '.join(card.space.keys)}.\n\n"
        '```bash\npython agent.py --model FOLDER --goal "Go to the lantern"\n```\n\n'
        f"{numbers}\n\nHow it was trained: `{CARD_NAME}`, field `config`.\n"
    )


def curves(history: Sequence[Mapping[str, float]]) -> bytes:
    """Loss and held-back scores over the steps, as PNG."""
    drawn = pages.figure((8, 4), "vision")
    left, right = drawn.subplots(1, 2)
    points = [(row["step"], row["loss"]) for row in history if "loss" in row]
    left.plot(*zip(*points, strict=True) if points else ([], []), label="training loss")
    for name in ("eval_cross_entropy", "eval_first_action_accuracy", "eval_exact_chunk", "eval_macro_f1"):
        if points := [(row["step"], row[name]) for row in history if row.get(name) is not None]:
            axes = left if name == "eval_cross_entropy" else right
            axes.plot(*zip(*points, strict=True), marker="o", label=name.removeprefix("eval_").replace("_", " "))
    left.set_title("nats a token")
    right.set_title("held-back recordings")
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.set_xlabel("step")
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    return pages.png(drawn)


def export_merged(adapter: Path, folder: Path) -> Path:
    """Weights of base and adapter folded together, which plain transformers loads; returns the folder.

    A 4-bit base is loaded unquantised where it can be; merging into 4 bits would lose what was learned.
    """
    if not is_adapter(adapter):
        raise UserError(f"{adapter}: no adapter here to merge; give the folder that training wrote")
    require_settled(adapter)
    require_free(folder)
    base = base_of(adapter)
    model = load_model(adapter, device="cpu", merge=True)
    if getattr(model, "is_loaded_in_4bit", False):
        raise UserError(
            f"the base {base} is stored in 4 bits, and merging into it loses precision; set base_model_name_or_path in "
            f"{adapter / 'adapter_config.json'} to its unquantised original and merge again"
        )
    with filling(folder, "protege export --merge") as part:
        with without_bars():
            model.save_pretrained(part)
        save_processor(load_processor(adapter), part)
        for name in (CARD_NAME, METRICS):
            if (adapter / name).is_file():
                shutil.copyfile(adapter / name, part / name)
    return folder


def push_to_hub(folder: Path, repository: str) -> str:
    """Upload a model's folder, without its checkpoints, to a private repository; return its address."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    ModelCard.load(folder)
    api = HfApi()
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, ignore_patterns=["checkpoints/*", "*.part/*", ".*"])
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ProtegeError(f"{repository}: not uploaded ({error}); log in with: hf auth login") from error
    return f"https://huggingface.co/{repository}"
