"""unsloth is tried in a process of its own: where it fails, TRL is still as it was, and what trains is an adapter."""

import ast
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import torch

from protege.errors import MissingExtra, ProtegeError, UserError
from protege.training.model import require_lora, scalable
from protege.vlm import unsloth
from protege.vlm.family import FAMILIES
from protege.vlm.load import load_model, nf4

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

RECORDS = """
class FastVisionModel:
    def from_pretrained(name, **options):
        options["quantization_config"] = options["quantization_config"].to_dict()
        print({"name": name, **options})
        return "model", None
"""
WITHOUT_IT = """
import sys
from protege.labeling import Transformers
from protege.labeling.backends.base import Question
next(iter(Transformers(sys.argv[1], device="cpu", max_tokens=2).answers([Question(1, "What is it?", None)])))
print("unsloth" in sys.modules)
"""


@pytest.fixture
def beside(tmp_path):
    """Run Python with a package of the given name and source, that of a version that does not exist."""

    def run(name, source, *arguments, **environment):
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / "packages" / name / "__init__.py").write_text(source)
        about = tmp_path / "packages" / f"{name}-99.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0\n")
        kept = {name: value for name, value in os.environ.items() if name != unsloth.ON_CPU}
        packages = {"PYTHONPATH": str(tmp_path / "packages")}
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, env={**kept, **packages, **environment}
        )

    return run


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


def test_it_is_asked_for_the_base_that_was_named_on_the_device_and_in_our_4_bits(tiny, beside):
    asking = f"from protege.vlm.unsloth import load; load({str(tiny)!r}, four_bit=True, device='cuda:1')"
    done = beside("unsloth", RECORDS, "-c", asking)
    assert done.returncode == 0, done.stderr
    asked = ast.literal_eval(re.sub(r"torch\.\w+|<[^>]+>", "None", done.stdout.splitlines()[-1]))
    assert (asked["name"], asked["use_exact_model_name"]) == (str(tiny), True)
    assert asked["device_map"] == {"": "cuda:1"}
    ours = nf4(torch.float16, FAMILIES["qwen3_vl"].whole).to_dict()
    assert asked["quantization_config"]["llm_int8_skip_modules"] == ours["llm_int8_skip_modules"]
    assert asked["quantization_config"]["load_in_4bit"]


def test_the_labeler_leaves_it_out_on_a_cpu_that_was_asked_for(tiny, beside):
    done = beside("unsloth", FAILS_LATER, "-c", WITHOUT_IT, str(tiny))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"


def test_a_torchvision_that_does_not_fit_torch_is_told_in_one_line(tiny, beside):
    broken = "raise RuntimeError('operator torchvision::nms does not exist')"
    command = ("-m", "protege.cli", "doctor", "--train", "--set", f"model.base={tiny}")
    done = beside("torchvision", broken, *command)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"protege: torchvision 99.0 does not fit torch {torch.__version__}")
    assert "pip uninstall torchvision" in line


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
