"""Configurations: the file that comes with the program, overrides, and mistakes with their nearest match."""

from pathlib import Path

import pytest

pytest.importorskip("omegaconf")

from protege.errors import UserError
from protege.settings import build, load_config, to_fields, to_yaml
from protege.training.config import BASE_8B, VisionConfig

ROOT = Path(__file__).parents[2]


def test_the_file_that_comes_with_the_program_holds_the_defaults_of_the_source_document():
    config = load_config(VisionConfig, ROOT / "configs" / "vision_lora.yaml")
    assert config == VisionConfig()
    assert (config.model.base, config.model.four_bit) == (BASE_8B, True)
    assert (config.lora.r, config.lora.alpha, config.lora.dropout) == (16, 16, 0.05)
    training = config.training
    assert (training.batch, training.accumulation, training.learning_rate, training.epochs) == (2, 4, 2e-4, 3)


def test_any_value_can_be_overridden():
    texts = ["training.learning_rate=1e-4", "data.frame_size=[160,120]", "lora.vision=false", "data.limit=5"]
    config = load_config(VisionConfig, ROOT / "configs" / "vision_lora.yaml", texts)
    assert config.training.learning_rate == 1e-4
    assert config.data.frame_size == (160, 120)
    assert not config.lora.vision
    assert config.data.limit == 5
    assert load_config(VisionConfig, None, ["data.limit=null"]).data.limit is None


def test_writing_a_configuration_and_reading_it_gives_it_back(tmp_path):
    config = load_config(VisionConfig, None, ["data.frame_size=[320,240]", "training.max_steps=3"])
    (tmp_path / "c.yaml").write_text(to_yaml(config))
    assert load_config(VisionConfig, tmp_path / "c.yaml") == config == build(VisionConfig, to_fields(config))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.lerning_rate=1", "unknown key training.lerning_rate; did you mean training.learning_rate"),
        ("trainin.seed=1", "did you mean training"),
        ("training.batch=many", "training.batch is a whole number, got 'many'"),
        ("training.batch=0", "training.batch lies between 1"),
        ("training.learning_rate=0", "learning_rate lies between 0 and 1"),
        ("training=3", "training is a group of keys"),
        ("seed", "is no override"),
        ("data.frame_size=3", r"data.frame_size is a list such as \[640, 480\]"),
        ("data.frame_size=[640]", r"data.frame_size is a list such as \[640, 480\]"),
        ("data.frame_size=[8,8]", r"of 32 to 4096 pixels, got \[8, 8\]"),
        ("data.frame_size=[1000000,1000000]", r"of 32 to 4096 pixels, got \[1000000, 1000000\]"),
        ("training.optimizer=banana", "training.optimizer is one of auto, adamw_torch"),
        ("training.epochs=-1", "training.epochs lies above 0"),
        ("training.epochs=.nan", "training.epochs"),
        ("training.epochs=.inf", "training.epochs"),
        ("training.max_steps=-2", "training.max_steps is -1"),
        ("training.max_steps=0", "training.max_steps is -1"),
        ("training.best=luck", "training.best is one of"),
        ("training.seed=-1", "training.seed lies between 0"),
        ("training.weight_decay=.nan", "training.weight_decay"),
        ("training.max_grad_norm=-1", "training.max_grad_norm lies between"),
        ("lora.alpha=0", "lora.alpha lies between"),
        ("model.device=banana", "model.device is auto, cpu"),
        ("model.base=''", "model.base is empty"),
        ("output=''", "output is empty"),
        ("training.loss=all", "training.loss is one of answer, actions"),
        ("training.report_to=paper", "one of tensorboard, wandb, trackio, none"),
        ("model.unsloth=maybe", "model.unsloth is one of"),
        ("lora.r=0", "lora.r lies between"),
        ("data.validation=1", "data.validation lies between"),
        ("augment.flip=2", "augment.flip lies between"),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(text, message):
    with pytest.raises(UserError, match=message):
        load_config(VisionConfig, None, [text])


def test_an_adapter_on_nothing_is_refused():
    with pytest.raises(UserError, match="nothing to train"):
        load_config(VisionConfig, None, ["lora.vision=false", "lora.language=false"])
    with pytest.raises(UserError, match="above 0"):
        load_config(VisionConfig, None, ["training.epochs=0"])


def test_a_file_that_is_missing_or_no_configuration_is_named(tmp_path):
    with pytest.raises(UserError, match="no such configuration"):
        load_config(VisionConfig, tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(UserError, match="not YAML"):
        load_config(VisionConfig, tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(UserError, match="not a configuration"):
        load_config(VisionConfig, tmp_path / "list.yaml")
