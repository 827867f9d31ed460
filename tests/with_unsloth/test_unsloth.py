"""Training, scoring, labeling and playing through unsloth's own classes, beside transformers + peft, on the CPU.

Not seen here: its compiled kernels and its own checkpointing, which a GPU has alone, and 4 bits by a GPU's kernels.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from protege.agent.vision import VisionAgent, VisionOptions
from protege.core import Frame
from protege.core.card import ModelCard
from protege.labeling import Transformers
from protege.labeling.backends.base import Question
from protege.settings import load_config
from protege.training.config import VisionConfig
from protege.training.judge import ScoreOptions, score_model
from protege.training.model import load_trainable, require_lora
from protege.training.run import train
from protege.vlm.load import load_model, load_processor
from protege.vlm.tiny import save_processor
from protege.vlm.unsloth import choose, load, trial
from tests.labeling.recordings import picture
from tests.training.conftest import label

PARTS = ((True, True), (True, False), (False, True))
STEPS = Path(__file__).with_name("steps.py")


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    return label(tmp_path_factory.mktemp("labeled"))


def config(tiny, labeled, output, *overrides):
    fixed = [f"model.base={tiny}", f"data.folder={labeled}", f"output={output}", "model.four_bit=false"]
    fixed += ["model.device=cpu", "model.unsloth=always", "data.workers=0", "data.validation=0.34", "lora.r=4"]
    fixed += ["training.batch=4", "training.accumulation=1", "training.gradient_checkpointing=false"]
    fixed += ["training.report_to=none", "training.log_steps=1", "training.score_samples=8"]
    return load_config(VisionConfig, None, [*fixed, *overrides])


def other(chosen):
    """The same settings for transformers + peft."""
    from dataclasses import replace

    return replace(chosen, model=replace(chosen.model, unsloth="never"))


def plain(chosen):
    from peft import get_peft_model

    made: Any = load_trainable(other(chosen))
    return get_peft_model(made.model, made.peft_config)


def trained_names(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.fixture(scope="module")
def trained(tiny, labeled, tmp_path_factory):
    return train(config(tiny, labeled, tmp_path_factory.mktemp("run") / "model", "training.max_steps=3"))


def test_its_trial_goes_well_and_it_is_chosen():
    assert trial() is None
    assert choose("auto", "cpu").unsloth
    assert not choose("never", "cpu").unsloth


@pytest.mark.parametrize(("language", "vision"), PARTS)
def test_both_loaders_train_the_same_layers(tiny, labeled, tmp_path, language, vision):
    parts = (f"lora.language={str(language).lower()}", f"lora.vision={str(vision).lower()}")
    chosen = config(tiny, labeled, tmp_path, *parts)
    ours, theirs = plain(chosen), load_trainable(chosen).model
    assert trained_names(theirs) == trained_names(ours)
    assert any("merger" in name for name in trained_names(theirs)) is vision
    require_lora(theirs)


@pytest.mark.parametrize(("language", "vision"), PARTS)
def test_both_loaders_train_as_many_weights(tiny, labeled, tmp_path, language, vision):
    parts = (f"lora.language={str(language).lower()}", f"lora.vision={str(vision).lower()}")
    chosen = config(tiny, labeled, tmp_path, *parts)
    counts = [
        sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        for model in (plain(chosen), load_trainable(chosen).model)
    ]
    assert counts[0] == counts[1] > 0


def quantised(model):
    return {name for name, module in model.named_modules() if type(module).__name__ == "Linear4bit"}


@pytest.fixture
def four_bits_allowed(monkeypatch):
    """It asks bitsandbytes for the kernels of a card, though those for a CPU are there."""
    monkeypatch.setattr("unsloth.models.loader.ALLOW_BITSANDBYTES", True)


@pytest.mark.usefixtures("four_bits_allowed")
def test_both_loaders_hold_the_same_modules_out_of_4_bits(tiny, labeled, tmp_path):
    chosen = config(tiny, labeled, tmp_path, "model.four_bit=true")
    ours, theirs = (quantised(one) for one in (plain(chosen), load_trainable(chosen).model))
    assert theirs == ours
    assert any("language_model" in name for name in theirs)
    assert not any(part in name for name in theirs for part in ("visual", "merger", "lm_head"))


@pytest.mark.usefixtures("four_bits_allowed")
def test_both_loaders_take_a_base_in_the_bits_that_it_is_stored_in(tiny, tmp_path):
    stored = load_model(tiny, four_bit=True, device="cpu")
    stored.save_pretrained(tmp_path)
    save_processor(load_processor(tiny), tmp_path)
    theirs, _ = load(tmp_path, four_bit=False, device="cpu")
    assert quantised(theirs) == quantised(stored) != set()


@pytest.mark.usefixtures("four_bits_allowed")
def test_it_plays_in_4_bits_and_labels_without(trained, tiny):
    agent = VisionAgent(trained.output, "", VisionOptions(backend="unsloth", device="cpu", four_bit=True))
    assert quantised(agent.loaded)
    assert not any("visual" in name for name in quantised(agent.loaded))
    labeler, _ = Transformers(str(tiny), device="cpu")._loaded
    assert not quantised(labeler)


def test_it_obeys_that_nothing_is_checkpointed(tiny, labeled, tmp_path):
    model = load_trainable(config(tiny, labeled, tmp_path)).model
    assert not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def test_it_loads_onto_the_device_and_in_the_numbers_that_were_asked_for(tiny, labeled, tmp_path):
    model = load_trainable(config(tiny, labeled, tmp_path)).model
    assert {(weight.device.type, weight.dtype) for weight in model.parameters()} == {("cpu", torch.float32)}


@pytest.mark.parametrize("bits", ["32", "4"])
def test_twenty_steps_have_the_losses_of_transformers_and_peft(tiny, labeled, tmp_path, bits):
    """From the same adapter, each in a process of its own."""
    losses = {}
    for wanted in ("never", "always"):
        arguments = [str(tiny), str(labeled), str(tmp_path / wanted), wanted, str(tmp_path / "first.safetensors"), bits]
        command = [sys.executable, "-W", "ignore", str(STEPS), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("LOSSES ")]
        losses[wanted] = json.loads(line.removeprefix("LOSSES "))
    assert len(losses["never"]) == 20
    assert losses["always"] == pytest.approx(losses["never"], rel=5e-3)


def test_a_run_writes_an_adapter_and_a_card(trained):
    card = ModelCard.load(trained.output)
    assert card.kind == "vision"
    weights = load_file(trained.output / "adapter_model.safetensors")
    assert weights
    assert all("lora_" in name for name in weights)


def test_a_run_goes_on_where_it_was_stopped(tiny, labeled, tmp_path):
    train(config(tiny, labeled, tmp_path / "run", "training.max_steps=2", "training.save_steps=1"))
    assert train(config(tiny, labeled, tmp_path / "run", "training.max_steps=4", "training.save_steps=1")).steps == 4


def test_scores_are_those_of_the_end_of_training(trained, labeled):
    found = score_model(trained.output, labeled, ScoreOptions(only_held_back=True, device="cpu", untuned_base=False))
    assert found.scores.cross_entropy == pytest.approx(trained.scores["cross_entropy"], abs=0.2)


def test_the_processor_is_ours(tiny, labeled, tmp_path):
    made, ours = load_trainable(config(tiny, labeled, tmp_path)).processor, load_processor(tiny)
    assert made.tokenizer("Go to the lantern").input_ids == ours.tokenizer("Go to the lantern").input_ids


def test_it_labels(tiny):
    questions = [Question(number, "What is the goal?", picture(number * 5)) for number in range(3)]
    answers = Transformers(str(tiny), batch=2, device="cpu", max_tokens=4).answers(questions)
    assert [answer.number for answer in answers] == [0, 1, 2]


@pytest.fixture(scope="module")
def agents(trained):
    return [
        VisionAgent(trained.output, "Go to the lantern", VisionOptions(backend=backend, device="cpu"))
        for backend in ("transformers", "unsloth")
    ]


@pytest.mark.parametrize("seed", range(9))
def test_it_plays_the_same_actions(agents, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    plans = [agent.predict(Frame(rgb, seed), "Go to the lantern").steps for agent in agents]
    assert plans[0] == plans[1]


def test_plain_peft_loads_what_it_trained(trained):
    assert load_model(trained.output, device="cpu", merge=True).num_parameters() > 0
