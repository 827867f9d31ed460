"""python -m protege.vlm.unsloth_trial: one step of training through unsloth, in a process that is thrown away."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any


def train_once() -> None:
    """A tiny Qwen3-VL, its adapter, a forward and a backward pass; raises what unsloth raises."""
    fast = __import__("unsloth").FastVisionModel

    import torch

    from protege.vlm.family import LANGUAGE, VISION
    from protege.vlm.tiny import build_tiny
    from protege.vlm.unsloth import lora

    with tempfile.TemporaryDirectory(prefix="protege-unsloth-") as name:
        os.environ["HF_HUB_OFFLINE"] = "1"
        folder = build_tiny(Path(name) / "tiny", size="nano")
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
        model, _ = fast.from_pretrained(
            str(folder), load_in_4bit=False, device_map={"": device}, use_gradient_checkpointing=False
        )
    targets = f"({LANGUAGE})|({VISION})"
    model = lora(model, fast, targets, r=4, alpha=4, dropout=0.0, checkpointing=False, seed=0)
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    if not trained or any("lora_" not in name for name in trained):
        raise RuntimeError(f"{len(trained)} tensors would be trained, not those of an adapter alone")
    loss: Any = model(**_inputs(model, device)).loss
    loss.backward()
    if not torch.isfinite(loss):
        raise RuntimeError(f"the loss of a tiny model is {float(loss)}")


def _inputs(model: Any, device: str) -> dict[str, Any]:
    """One picture of 2x2 tokens and a few words."""
    import torch

    config = model.config
    vision = config.vision_config
    cells = 2 * vision.spatial_merge_size
    width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    around = [config.vision_start_token_id, *[config.image_token_id] * 4, config.vision_end_token_id]
    ids = torch.tensor([[5, *around, 6, 7, 8]], device=device)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == config.image_token_id).long(),
        "labels": ids,
        "pixel_values": torch.zeros(cells * cells, width, device=device),
        "image_grid_thw": torch.tensor([[1, cells, cells]], device=device),
    }


if __name__ == "__main__":
    try:
        train_once()
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)
        sys.exit(1)
