# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""Whole fine-tuning runs on a tiny model: resumed, interrupted, in 4 bits, on two processes, merged, and gone wrong."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")

from safetensors.torch import load_file

from protege.core.card import ModelCard
from protege.errors import ProtegeError, UserError
from protege.settings import load_config
from protege.training import run
from protege.training.config import VisionConfig
from protege.training.judge import ScoreOptions, score_model
from protege.training.model import Trainable
from protege.training.outlook import out_of_memory
from protege.training.outputs import export_merged
from protege.training.run import train
from protege.vlm.load import best_dtype, load_model, load_processor

from .conftest import label

# peft 0.21 reads an attribute that transformers 5.23 has renamed
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def config(tiny, labeled, output, *overrides):
    fixed = [
        f"model.base={tiny}",
        f"data.folder={labeled}",
        f"output={output}",
        "model.four_bit=false",
        "model.device=cpu",
        "data.workers=0",
        "data.validation=0.34",
        "lora.r=4",
        "training.schedule=constant_with_warmup",
        "training.warmup_steps=2",
        "training.learning_rate=5e-3",
        "training.batch=4",
        "training.accumulation=1",
        "training.log_steps=1",
        "training.gradient_checkpointing=false",
        "training.report_to=none",
        "training.score_samples=8",
    ]
    return load_config(VisionConfig, None, [*fixed, *overrides])


def weights(output):
    return load_file(output / "adapter_model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


DRAWN = ("lora.dropout=0.1", "data.workers=2", "data.paraphrases=true", "augment.shift=2", "data.balance=true")
RESUMED = (*DRAWN, "training.save_steps=2")


def test_two_steps_and_two_more_equal_four_straight_to_the_last_bit(tiny, labeled, tmp_path):
    four = train(config(tiny, labeled, tmp_path / "four", "training.max_steps=4", *RESUMED))
    train(config(tiny, labeled, tmp_path / "two", "training.max_steps=2", *RESUMED))
    assert not same(weights(tmp_path / "two"), weights(tmp_path / "four"))
    resumed = train(config(tiny, labeled, tmp_path / "two", "training.max_steps=4", *RESUMED))
    last = [tmp_path / name / "checkpoints" / "checkpoint-4" for name in ("four", "two")]
    assert same(weights(last[0]), weights(last[1]))
    assert four.losses[2:] == resumed.losses[-2:]
    assert resumed.steps == 4


@pytest.fixture(scope="module")
def trained(tiny, labeled, tmp_path_factory):
    """A run that learns something, with a score every 10 steps."""
    output = tmp_path_factory.mktemp("run") / "adapter"
    options = ("training.max_steps=30", "training.save_steps=10", "training.report_to=tensorboard", "training.keep=1")
    return train(config(tiny, labeled, output, "lora.r=16", "data.workers=2", *options))


def test_the_loss_falls(trained):
    losses = [loss for _, loss in trained.losses]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_everything_that_belongs_to_a_model_lies_in_its_folder(trained, tiny):
    names = {path.name for path in trained.output.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "card.json"} <= names
    assert {"metrics.json", "curves.png", "README.md", "config.yaml", "checkpoints"} <= names
    card = ModelCard.load(trained.output)
    assert (card.kind, card.base_model, card.frame_size, card.horizon) == ("vision", str(tiny), (64, 64), 7)
    assert card.config["training"]["max_steps"] == 30
    assert (trained.output / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert load_processor(trained.output).tokenizer.eos_token == "<|im_end|>"
    assert list((trained.output / "checkpoints" / "runs").rglob("events*"))


def test_the_model_knows_what_it_was_trained_on(trained, labeled):
    metrics = json.loads((trained.output / "metrics.json").read_text())
    assert metrics["trained_on"]["by"] == "recording"
    judged = score_model(trained.output, labeled, ScoreOptions(only_held_back=True, device="cpu"))
    scored = {judged.data.session[s] for s in judged.data.segment}
    assert scored
    assert not scored & set(metrics["trained_on"]["names"])
    for path in labeled.iterdir():
        if path.name.rpartition("_seg")[0] in metrics["trained_on"]["names"]:
            with pytest.raises(UserError, match="trained on all of this data"):
                score_model(trained.output, path, ScoreOptions(only_held_back=True, device="cpu"))


def test_the_number_of_workers_changes_no_loss(tiny, labeled, tmp_path):
    options = ("training.max_steps=2", "data.validation=0")
    losses = [
        train(config(tiny, labeled, tmp_path / str(n), *DRAWN, f"data.workers={n}", *options)).losses for n in (0, 2)
    ]
    assert losses[0] == losses[1]


def test_a_limit_takes_from_what_is_trained_on(tiny, labeled, tmp_path, caplog):
    with caplog.at_level("INFO", "protege"):
        made = train(config(tiny, labeled, tmp_path / "run", "data.limit=8", "training.epochs=1"))
    assert made.steps == 2
    assert made.scores["samples"] == 8
    assert "1 of 3 recordings" in caplog.text
    assert "of these 8 are drawn" in caplog.text


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """wandb as on a machine where nobody has logged in; it keeps its settings for as long as its service runs."""
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("NETRC", tmp_path / "netrc"), ("WANDB_DIR", tmp_path), ("WANDB_SILENT", "true")):
        monkeypatch.setenv(name, str(value))
    yield wandb
    wandb.teardown()


def test_wandb_keeps_its_record_on_the_machine(wandb, tiny, labeled, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    train(config(tiny, labeled, tmp_path / "run", "training.max_steps=1", "training.report_to=wandb"))
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_wandb_without_a_login_is_one_line(wandb, tiny, labeled, tmp_path):
    with pytest.raises(ProtegeError, match=r"^wandb: .*WANDB_MODE=offline"):
        train(config(tiny, labeled, tmp_path / "run", "training.max_steps=1", "training.report_to=wandb"))


def test_metrics_stand_beside_those_of_the_baselines(trained):
    metrics = json.loads((trained.output / "metrics.json").read_text())
    assert set(metrics["baselines"]) == {"majority", "repeat_last", "untuned_base"}
    assert metrics["cross_entropy"] < metrics["baselines"]["untuned_base"]["cross_entropy"]
    assert metrics["goal_swap"]["samples"] == metrics["samples"] == 8
    readme = (trained.output / "README.md").read_text()
    assert "untuned_base" in readme
    assert "library_name: peft" in readme


def test_the_card_says_from_which_probability_no_key_means_done(tiny, tmp_path, caplog):
    data = label(tmp_path / "labeled", segments=72, frames=2)  # half of the samples are done
    options = ("training.max_steps=1", "training.score_samples=60", "training.best=cross_entropy")
    with caplog.at_level("INFO"):
        made = train(config(tiny, data, tmp_path / "run", *options))
    threshold = ModelCard.load(made.output).done_threshold
    assert threshold is not None
    assert 0 <= threshold <= 1
    assert json.loads((made.output / "metrics.json").read_text())["done_threshold"] == threshold
    assert f"a probability of {threshold:.2f} or more" in caplog.text


def test_too_few_held_back_samples_that_are_done_leave_the_card_without_a_threshold(trained):
    assert "done_threshold" not in (trained.output / "card.json").read_text()
    assert json.loads((trained.output / "metrics.json").read_text())["done_threshold"] is None


def test_the_best_checkpoint_is_what_is_saved_and_old_ones_go(trained):
    state = json.loads(
        max((trained.output / "checkpoints").glob("checkpoint-*/trainer_state.json"), key=os.path.getmtime).read_text()
    )
    scored = {row["step"]: row["eval_first_action_accuracy"] for row in state["log_history"] if "eval_loss" in row}
    best = int(state["best_model_checkpoint"].rpartition("-")[2])
    assert scored[best] == max(scored.values())
    assert same(weights(trained.output), weights(trained.output / "checkpoints" / f"checkpoint-{best}"))
    assert len(list((trained.output / "checkpoints").glob("checkpoint-*"))) <= 2


def test_merged_weights_load_with_plain_transformers_and_answer_like_the_adapter(trained, tmp_path):
    from transformers import AutoModelForImageTextToText

    merged = export_merged(trained.output, tmp_path / "merged")
    plain = AutoModelForImageTextToText.from_pretrained(merged).eval()
    adapter = load_model(trained.output, device="cpu")
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.allclose(plain(input_ids=ids).logits, adapter(input_ids=ids).logits, atol=1e-3)
    assert ModelCard.load(merged).kind == "vision"
    assert load_processor(merged).tokenizer.eos_token == "<|im_end|>"
    with pytest.raises(UserError, match="not empty"):
        export_merged(trained.output, merged)
    with pytest.raises(UserError, match="no adapter here"):
        export_merged(merged, tmp_path / "again")


def test_a_finished_run_that_is_started_again_trains_no_further(trained, tiny, labeled):
    before = weights(trained.output)
    again = train(load_config(VisionConfig, trained.output / "config.yaml"))
    assert again.steps == 30
    assert same(before, weights(trained.output))


def test_a_base_in_four_bits_learns_on_a_cpu(tiny, labeled, tmp_path):
    pytest.importorskip("bitsandbytes")
    made = train(
        config(tiny, labeled, tmp_path / "q", "model.four_bit=true", "training.max_steps=6", "data.validation=0")
    )
    assert made.losses[-1][1] < made.losses[0][1]
    assert made.scores == {}
    assert all(torch.isfinite(weight).all() for weight in weights(tmp_path / "q").values())


@pytest.mark.parametrize(
    ("options", "there", "missing"),
    [(["lora.vision=false"], "language_model", "visual"), (["lora.language=false"], "visual", "language_model")],
)
def test_language_and_vision_layers_can_be_switched_off(tiny, labeled, tmp_path, options, there, missing):
    train(config(tiny, labeled, tmp_path / "part", "training.max_steps=1", "data.validation=0", *options))
    names = list(weights(tmp_path / "part"))
    assert any(there in name for name in names)
    assert not any(missing in name for name in names)


def test_gradient_checkpointing_changes_no_loss(tiny, labeled, tmp_path):
    losses = []
    for on in ("true", "false"):
        options = (
            "training.max_steps=2",
            "data.validation=0",
            "lora.dropout=0",
            f"training.gradient_checkpointing={on}",
        )
        losses.append([loss for _, loss in train(config(tiny, labeled, tmp_path / on, *options)).losses])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_ctrl_c_saves_and_the_same_command_goes_on(tiny, labeled, tmp_path, monkeypatch):
    from protege.training.trainer import ActionTrainer

    plain = ActionTrainer.training_step
    steps = []

    def pressing(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 2:
            os.kill(os.getpid(), 2)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(ActionTrainer, "training_step", pressing)
    options = ("training.max_steps=4", "training.save_steps=100")
    first = train(config(tiny, labeled, tmp_path / "run", *options))
    assert (first.interrupted, first.steps) == (True, 2)
    assert (tmp_path / "run" / "checkpoints" / "checkpoint-2").is_dir()
    second = train(config(tiny, labeled, tmp_path / "run", *options))
    assert (second.interrupted, second.steps) == (False, 4)
    monkeypatch.undo()
    straight = train(config(tiny, labeled, tmp_path / "straight", *options))
    assert straight.losses[2:] == second.losses[-2:]


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_pictures(tiny, labeled, tmp_path, monkeypatch):
    from trl.trainer.sft_trainer import SFTTrainer

    monkeypatch.setattr(SFTTrainer, "training_step", lambda *_, **__: torch.tensor(float("nan")))
    monkeypatch.setattr("protege.training.trainer.ActionTrainer._files", ["seg000/frame_0003.jpg"], raising=False)
    with pytest.raises(ProtegeError, match=r"the loss is nan at step 1, with the pictures"):
        train(config(tiny, labeled, tmp_path / "run", "training.max_steps=2"))


def test_a_card_without_bfloat16_trains_in_float16_with_loss_scaling(tiny, labeled, tmp_path):
    made = Trainable(load_model(tiny), load_processor(tiny), None, "cuda:0", unsloth=False)
    with run.known_warnings():
        given = run.arguments(config(tiny, labeled, tmp_path / "t4"), made, True, capability=(7, 5))
    assert (given.fp16, given.bf16) == (True, False)
    assert best_dtype("cuda:0", (7, 5)) is torch.float16
    assert best_dtype("cuda:0", (8, 0)) is torch.bfloat16  # transformers takes bf16=True only where there is a GPU
    assert best_dtype("cpu", (8, 0)) is torch.float32


def test_no_progress_ends_the_run_early(tiny, labeled, tmp_path):
    options = ("training.max_steps=20", "training.save_steps=1", "training.patience=2", "training.learning_rate=1e-9")
    assert train(config(tiny, labeled, tmp_path / "run", *options)).steps == 3


def test_checkpoints_of_another_run_are_never_mixed_in(tiny, labeled, tmp_path):
    options = ("training.max_steps=1", "data.validation=0", "training.save_steps=1")
    train(config(tiny, labeled, tmp_path / "run", *options))
    with pytest.raises(UserError, match=r"holds a run with lora\.r=4, this one has 8.*training.resume=never"):
        train(config(tiny, labeled, tmp_path / "run", "lora.r=8", *options))
    train(config(tiny, labeled, tmp_path / "run", "lora.r=8", "training.resume=never", *options))
    with pytest.raises(UserError, match="no checkpoint there"):
        train(config(tiny, labeled, tmp_path / "run", f"training.resume={tmp_path}", *options))


def test_too_little_memory_says_what_to_lower(tiny, labeled, tmp_path, monkeypatch):
    from protege.training.trainer import ActionTrainer

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ActionTrainer, "training_step", full)
    with pytest.raises(UserError, match=r"training.gradient_checkpointing=true.*training.batch to 2"):
        train(config(tiny, labeled, tmp_path / "run", "training.max_steps=1"))
    small = config(tiny, labeled, tmp_path, "model.four_bit=true", "training.batch=1")
    assert "lower data.frame_size" in out_of_memory(small)
    assert "training.batch" not in out_of_memory(small)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["model.base=models/none"], UserError, "no such folder"),
        (["model.base=nobody/nothing"], ProtegeError, "hub is switched off"),
        (["data.folder=none"], UserError, "no labeled data here"),
        (["model.unsloth=always"], UserError, "needs a CUDA device"),
        (["training.report_to=trackio"], UserError, "pip install trackio"),
    ],
)
def test_what_cannot_be_run_is_one_line(tiny, labeled, tmp_path, monkeypatch, options, error, message):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "trackio" else found(name))
    with pytest.raises(error, match=message):
        train(config(tiny, labeled, tmp_path / "run", *options))


def test_an_adapter_is_no_base(trained, labeled, tmp_path):
    with pytest.raises(UserError, match="is an adapter"):
        train(config(trained.output, labeled, tmp_path / "run"))


def test_data_with_chords_trains_and_is_scored(tiny, tmp_path):
    data = label(tmp_path / "chords", segments=3, frames=4, fields={"shape": {"chords": True, "horizon": 7}})
    for file in data.glob("*/samples.jsonl"):
        file.write_text(file.read_text().replace('\\"w\\"', '\\"w+right\\"'))
    made = train(config(tiny, data, tmp_path / "run", "training.max_steps=1"))
    assert made.scores["samples"] == 4
    assert ModelCard.load(made.output).chords


LAUNCHED = """
import sys
from pathlib import Path
from accelerate import PartialState
from protege.settings import load_config
from protege.training.config import VisionConfig
from protege.training.run import train
made = train(load_config(VisionConfig, Path(sys.argv[1])))
if PartialState().is_main_process:
    print("losses", [loss for _, loss in made.losses])
"""


def launched(tmp_path, arguments):
    """The losses of two processes."""
    script = tmp_path / "script.py"
    script.write_text(LAUNCHED)
    # accelerate's own --cpu starts a single process
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", str(script), *arguments]
    made = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert made.returncode == 0, made.stderr[-3000:]
    (line, *_) = [line for line in made.stdout.splitlines() if line.startswith("losses")]
    return json.loads(line.removeprefix("losses "))


def test_two_processes_under_accelerate_launch_have_the_loss_of_one(tiny, labeled, tmp_path):
    options = ("lora.dropout=0", "training.max_steps=3")
    one = train(config(tiny, labeled, tmp_path / "one", "training.batch=4", *options))
    two = config(tiny, labeled, tmp_path / "two", "training.batch=2", *options)
    (tmp_path / "config.yaml").write_text(run.to_yaml(two))
    losses = launched(tmp_path, [str(tmp_path / "config.yaml")])
    assert losses == pytest.approx([loss for _, loss in one.losses], rel=1e-4)
    assert len(losses) == 3
    scored = run.read_metrics(tmp_path / "two")["cross_entropy"]
    assert scored == pytest.approx(one.scores["cross_entropy"], rel=1e-3)
