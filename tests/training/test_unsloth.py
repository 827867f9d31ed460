"""unsloth is tried in a process of its own: where it fails, TRL is still as it was, and what trains is an adapter."""

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from protege.errors import MissingExtra, ProtegeError, UserError
from protege.training.model import require_lora, scalable
from protege.vlm import unsloth
from protege.vlm.load import load_model

REWRITES = """
import trl.trainer.sft_trainer as sft
whole = sft.SFTTrainer.__init__
def ignoring(self, *args, peft_config=None, **kwargs):
    whole(self, *args, **kwargs)
sft.SFTTrainer.__init__ = ignoring
"""
"""What unsloth does to TRL on its import, as far as it matters here."""
FAILS = """
class FastVisionModel:
    def from_pretrained(*_, **__):
        raise ImportError("no working\\ntorchvision")
"""
FAILS_LATER = """
import sys
class FastVisionModel:
    def from_pretrained(*_, **__):
        raise AssertionError("the base does not fit")
if "unsloth_trial" in " ".join(sys.orig_argv):
    sys.exit(0)
"""
LOADS_WHOLE = """
import sys
class FastVisionModel:
    def from_pretrained(base, **_):
        from transformers import AutoModelForImageTextToText
        return AutoModelForImageTextToText.from_pretrained(base), None
    def get_peft_model(model, **_):
        return model
    def for_training(model, **_):
        pass
if "unsloth_trial" in " ".join(sys.orig_argv):
    sys.exit(0)
"""


@pytest.fixture
def trained_with(tiny, labeled, tmp_path):
    """Train with a package `unsloth` of the given source; returns the process and the model's folder."""

    def train(source, *options):
        package = tmp_path / "packages" / "unsloth"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(REWRITES + source)
        done = subprocess.run(
            [sys.executable, "-m", "protege.cli", "train", f"model.base={tiny}", f"data.folder={labeled}",
             f"output={tmp_path / 'run'}", "model.four_bit=false", "model.device=cpu", "data.workers=0",
             "data.validation=0", "training.max_steps=1", "training.report_to=none", *options],
            cwd=tmp_path, check=False, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(package.parent), unsloth.ON_CPU: "1"},
        )  # fmt: skip
        return done, tmp_path / "run"

    return train


def test_where_its_trial_fails_training_goes_on_with_trl_as_it_was(trained_with):
    done, folder = trained_with(FAILS)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "loader:" in line]
    assert "transformers + peft (unsloth fails here (ImportError: no working torchvision))" in line
    assert (folder / "adapter_model.safetensors").is_file()


def test_where_it_is_insisted_on_a_failed_trial_is_the_end(trained_with):
    done, folder = trained_with(FAILS, "model.unsloth=always")
    assert done.returncode == 2
    assert "model.unsloth=always: unsloth fails here" in done.stderr.splitlines()[-1]
    assert not (folder / "card.json").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (FAILS_LATER, "the base does not fit); start again with model.unsloth=never"),
        (LOADS_WHOLE, "would be trained instead of a LoRA adapter alone"),
    ],
)
def test_after_its_import_there_is_no_going_on_without_it(trained_with, source, said):
    done, folder = trained_with(source)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    assert not (folder / "card.json").exists()


def test_it_is_left_out_without_a_gpu_without_its_package_and_in_several_processes(monkeypatch):
    monkeypatch.delenv(unsloth.ON_CPU, raising=False)
    assert unsloth.choose("never", "cuda:0").why == "model.unsloth=never"
    assert unsloth.choose("auto", "cpu").why == "unsloth needs a CUDA device, this is cpu"
    with pytest.raises(UserError, match=r"always: unsloth needs a CUDA device"):
        unsloth.choose("always", "cpu")
    with pytest.raises(MissingExtra, match=r"protege\[unsloth\]"):
        unsloth.choose("always", "cuda:0")
    assert unsloth.choose("auto", "cuda:0") == unsloth.Loader(False, unsloth.NOT_INSTALLED)


def test_several_processes_train_without_it(monkeypatch, tmp_path):
    (tmp_path / "unsloth.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "several processes" in unsloth.choose("auto", "cuda:0").why


def test_only_an_adapter_is_ever_trained(tiny):
    model = load_model(tiny, device="cpu")
    with pytest.raises(ProtegeError, match="tensors of the base"):
        require_lora(model)
    model.requires_grad_(False)
    with pytest.raises(ProtegeError, match="nothing would be trained"):
        require_lora(model)


def test_what_a_scaled_loss_trains_is_float32():
    layer: Any = torch.nn.Linear(2, 2).bfloat16()
    layer.bias.requires_grad_(False)
    scalable(layer)
    assert (layer.weight.dtype, layer.bias.dtype) == (torch.float32, torch.bfloat16)
