# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""What a run needs is known before it: counted on the meta device, held against the memory of a real run."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from bench.families import build
from protege.core.files import read_json
from protege.errors import UserError
from protege.learn.interrupt import ctrl_c
from protege.learn.progress import silent
from protege.training.config import VisionConfig
from protege.training.data import LabeledData
from protege.training.memory import estimate
from protege.training.model import load_trainable
from protege.training.outlook import TESTED, Outlook, outlook, require_fit
from protege.training.run import known_warnings, make_trainer
from protege.vlm.shapes import known_shape
from protege.vlm.tiny import build_tiny
from protege.vlm.unsloth import Loader

from .conftest import label
from .peak import Peak
from .test_run import config

PLAIN = Loader(False, "tested here")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("small") / "base", size="small")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return label(tmp_path_factory.mktemp("pictures"), segments=2, frames=4, size=(320, 240))


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """A base of another make, which looks at tiles."""
    return build(tmp_path_factory.mktemp("tiles") / "base", "idefics3")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("training.gradient_checkpointing=true",),
        ("model.four_bit=true", "lora.vision=false"),
        ("data.history.frames=1", "training.batch=2"),
    ],
    ids=" ".join,
)
def test_memory_is_estimated_within_15_percent_of_a_real_run(small, pictures, tmp_path, options):
    near(small, pictures, tmp_path, options)


@pytest.mark.parametrize(
    "options", [(), ("training.gradient_checkpointing=true",), ("data.history.frames=1",)], ids=" ".join
)
def test_so_it_is_for_a_base_that_looks_at_tiles(tiles, pictures, tmp_path, options):
    near(tiles, pictures, tmp_path, options)


def near(base, pictures, tmp_path, options):
    chosen = config(base, pictures, tmp_path / "run", "training.max_steps=2", "data.validation=0", *options)
    data = LabeledData.open(pictures)
    with known_warnings(), ctrl_c() as asked:
        trainer = make_trainer(chosen, load_trainable(chosen), data, data.take(np.arange(0)), asked, silent)
        with Peak(trainer.network) as peak:
            trainer.train()
    needs = estimate(chosen, read_json(base / "config.json"), "cpu", torch.float32, (320, 240))
    print(f"memory_estimate_error {abs(needs.memory.total / peak.most - 1):.3f}")
    assert needs.memory.total == pytest.approx(peak.most, rel=0.15)
    trained = sum(weight.numel() for weight in trainer.network.parameters() if weight.requires_grad)
    assert sum(needs.trained.values()) == trained


def test_an_adapter_on_4_bits_is_float32_where_the_loss_is_scaled(small):
    chosen, fields = VisionConfig(), read_json(small / "config.json")
    brain, scaled = (estimate(chosen, fields, "cuda:0", kind) for kind in (torch.bfloat16, torch.float16))
    assert brain.memory.adapter == 2 * sum(brain.trained.values())
    assert scaled.memory.adapter == scaled.memory.gradients == 4 * sum(scaled.trained.values())


def test_a_card_without_bfloat16_is_told_to_scale_its_loss(small):
    needs = estimate(VisionConfig(), read_json(small / "config.json"), "cuda:0", torch.float16)
    assert Outlook("cuda:0", 16 << 30, "float16", PLAIN, needs).lines()[0] == (
        "device: cuda:0, 16.0 GiB; float16, with loss scaling"
    )


def test_the_8b_model_is_known_without_a_download():
    found = outlook(VisionConfig(), PLAIN)
    assert sum(found.needs.parameters.values()) == 8_767_123_696
    assert sum(found.needs.trained.values()) == 52_493_824
    assert found.needs.picture_tokens == 300
    lines = "\n".join(found.lines())
    assert "trained: 52,493,824 of 8,767,123,696 weights (language 43,646,976, vision 7,699,968, merger" in lines
    assert "loader: transformers + peft (tested here)" in lines
    assert known_shape("models/tiny") is None


def test_what_cannot_fit_is_refused_with_the_settings_that_make_it_fit(small, pictures, tmp_path):
    chosen = config(small, pictures, tmp_path / "run", "training.batch=8")
    needs = estimate(chosen, read_json(small / "config.json"), "cpu", torch.float32, (320, 240))
    require_fit(chosen, Outlook("cpu", needs.memory.total, "float32", PLAIN, needs), (320, 240))
    with pytest.raises(UserError, match=r"it would fit with: training.batch=1 training.accumulation=8$"):
        require_fit(chosen, Outlook("cpu", needs.memory.total // 2, "float32", PLAIN, needs), (320, 240))
    with pytest.raises(UserError, match="choose a smaller base"):
        require_fit(chosen, Outlook("cpu", 1 << 20, "float32", PLAIN, needs), (320, 240))
    require_fit(chosen, Outlook("mps", None, "bfloat16", PLAIN, needs))


def test_the_doctor_says_what_training_would_need(tiny, run_protege):
    done = run_protege("doctor", "--train", "--set", f"model.base={tiny}", "--set", "model.four_bit=false")
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        *("device", "loader", "versions", "trained", "a sample", "memory")
    ]
    assert run_protege("doctor", "--set", "model.four_bit=false").returncode == 2


def test_the_versions_told_as_tested_are_those_of_the_constraints():
    root = Path(__file__).parents[2]
    for number, name in enumerate(("constraints.txt", "constraints-unsloth.txt")):
        pinned = dict(line.split("==") for line in (root / name).read_text().splitlines() if "==" in line)
        assert {library: pinned[library] for library in TESTED} == {
            library: tested[min(number, len(tested) - 1)] for library, tested in TESTED.items()
        }
