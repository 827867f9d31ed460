"""python steps.py BASE DATA OUTPUT always|never ADAPTER 4|32: 20 steps from an adapter in a file.

The first run writes it. 4: with the base in 4 bits.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from protege.settings import load_config
from protege.training.config import VisionConfig
from protege.training.model import choose_loader, load_trainable


def main(base: str, data: str, output: str, wanted: str, start: str, bits: str) -> list[float]:
    fixed = [f"model.base={base}", f"data.folder={data}", f"output={output}", "lora.dropout=0"]
    fixed += [f"model.four_bit={str(bits == '4').lower()}"]
    fixed += ["model.device=cpu", f"model.unsloth={wanted}", "data.workers=0", "data.validation=0", "lora.r=4"]
    fixed += ["training.batch=4", "training.accumulation=1", "training.gradient_checkpointing=false"]
    fixed += ["training.report_to=none", "training.log_steps=1", "training.max_steps=20", "training.learning_rate=1e-3"]
    config = load_config(VisionConfig, None, fixed)
    if choose_loader(config).unsloth:  # which imports it before what follows
        allow_4_bits()

    import numpy as np
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file, save_file

    from protege.learn.interrupt import Asked
    from protege.learn.progress import silent
    from protege.training.data import LabeledData
    from protege.training.run import losses, make_trainer

    labeled = LabeledData.open(Path(data))
    trainer = make_trainer(config, load_trainable(config), labeled, labeled.take(np.arange(0)), Asked(), silent)
    adapter = Path(start)
    if not adapter.exists():
        first = get_peft_model_state_dict(trainer.network)
        save_file({name: weight.contiguous() for name, weight in first.items()}, adapter)
    set_peft_model_state_dict(trainer.network, load_file(adapter))
    trainer.train()
    return [loss for _, loss in losses(trainer.state.log_history)]


def allow_4_bits() -> None:
    """Have unsloth quantise on a CPU, too: it asks bitsandbytes for the kernels of a card, and takes none else."""
    loader: Any = importlib.import_module("unsloth.models.loader")
    loader.ALLOW_BITSANDBYTES = True


if __name__ == "__main__":
    print("LOSSES " + json.dumps(main(*sys.argv[1:])))
