"""The configuration that comes with the program, the variants of 000, and mistakes."""

from pathlib import Path

import pytest

from protege.controls import tables
from protege.controls.config import LOSS_WEIGHTS, STAGES, Architecture, ControlsConfig
from protege.errors import UserError
from protege.settings import load_config

FILE = Path(__file__).parents[2] / "configs" / "controls.yaml"


def test_the_file_that_comes_with_the_program_holds_the_defaults_and_every_one():
    assert load_config(ControlsConfig, FILE) == ControlsConfig()
    text = FILE.read_text(encoding="utf-8")
    for name in ("files", "look_rule", "warmup_epochs", "loss_weighting", "pos_weight", "thresholds", "precision"):
        assert f"{name}:" in text


def test_the_defaults_are_those_of_the_documents():
    options = ControlsConfig().training
    assert (options.learning_rate, options.weight_decay, options.final_rate) == (5e-4, 1e-4, 1e-6)
    assert (options.epochs, options.patience, options.batch_size, options.seed) == (150, 25, 64, 42)
    assert (options.warmup_epochs, options.max_grad_norm) == (5, 1)
    assert list(LOSS_WEIGHTS) == ["action", "look", "hotbar", "cursor", "inventory", "idle"]
    assert len(Architecture.__dataclass_fields__) == 12


def test_every_stage_frees_more_and_the_last_frees_all():
    sets = [set(stage.controls) for stage in STAGES]
    assert sets[0] < sets[1] < sets[2] == set(tables.NAMES)


def test_the_curriculum_gives_each_epoch_its_stage():
    made = load_config(
        ControlsConfig,
        None,
        [
            "curriculum.enabled=true",
            "curriculum.epochs=[2,3]",
            "training.epochs=6",
        ],
    )
    assert [made.stage(epoch).name for epoch in range(6)] == ["movement"] * 2 + ["combat"] * 3 + ["inventory"]
    assert {ControlsConfig().stage(epoch).name for epoch in (0, 149)} == {"all"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.leaning_rate=1", "unknown key training.leaning_rate; did you mean training.learning_rate"),
        ("training.loss_weighting=seed", "training.loss_weighting is one of masked, seed000; got 'seed'"),
        ("training.learning_rate=2", "training.learning_rate lies below 1"),
        ("training.epochs=0", "training.epochs lies between 1"),
        ("data.recordings=[]", r"data.recordings is empty"),
        ("data.test=0", "data.test lies between"),
        ("data.look_rule=all", "data.look_rule is one of norm, any"),
        ("model.dropout=1", "model.dropout lies between"),
        ("model.num_hotbar_slots=8", "hotbar is 9 in protege's tables"),
        ("files=v3", "files is one of seed001, seed000"),
        ("curriculum.epochs=[0,1]", "curriculum.epochs lies between 1"),
    ],
)
def test_mistakes_are_named(override, message):
    with pytest.raises(UserError, match=message):
        load_config(ControlsConfig, None, [override])


def test_a_curriculum_must_leave_epochs_for_its_last_stage():
    with pytest.raises(UserError, match="leaves none of"):
        load_config(ControlsConfig, None, ["curriculum.enabled=true", "training.epochs=40"])
