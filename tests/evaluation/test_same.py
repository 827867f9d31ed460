# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""A model answers the same as adapter, merged and behind a real server; what a server drops is said."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from peft import get_peft_model

from protege.cli import run
from protege.core.card import ModelCard
from protege.core.chat import HISTORY_PROMPT_VERSION
from protege.core.history import History
from protege.errors import UserError
from protege.evaluation.same import ALIKE, Answers, Checked, CheckOptions, _dropped, check
from protege.training.config import LoraOptions
from protege.training.model import lora_config
from protege.training.outputs import export_merged
from protege.vlm.load import load_model, load_processor
from protege.vlm.tiny import copy_base, save_processor
from tests.training.conftest import label

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
EVERYTHING = {"samples": 24, "all_samples": True, "device": "cpu"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return label(tmp_path_factory.mktemp("data"), segments=4, frames=8, size=(96, 64))


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """An adapter of the tiny base whose vision half changes half of the first actions. The language half changes none:
    with more noise the model could not spell its answers any more, as it has to for a server.
    """
    root = tmp_path_factory.mktemp("adapter")
    base = copy_base(root / "base")
    torch.manual_seed(0)
    model = get_peft_model(load_model(base, device="cpu"), lora_config(LoraOptions(r=4, alpha=4)))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=1.0 if "visual" in name else 0.05)
    model.save_pretrained(root / "lora")
    save_processor(load_processor(base), root / "lora")
    ModelCard("vision", str(base), frame_size=(96, 64)).save(root / "lora")
    return root / "lora"


@pytest.fixture(scope="module")
def merged(adapter):
    return export_merged(adapter, adapter.parent / "merged")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The URL of `transformers serve`, which loads whatever model it is asked for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    script = Path(__file__).with_name("serve_tiny.py")
    command = [sys.executable, str(script), "serve", "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        url = f"http://127.0.0.1:{port}"
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.2)
        assert process.poll() is None, log.read_text()
        yield f"{url}/v1"
        process.terminate()


def test_adapter_merged_weights_and_a_real_server_answer_the_same(adapter, merged, server, data):
    found = check(adapter, data, CheckOptions(server=server, served=str(merged), merged=merged, **EVERYTHING))
    figures = found.figures()
    assert figures["samples"] == 24
    assert figures["agreement_merged"] >= 0.99
    assert figures["agreement_server"] >= 0.99
    assert figures["probability_difference_merged"] < 1e-3
    assert found.said == ()
    rows: Any = found.to_json()["rows"]
    assert set(rows[0]) == {"file", "model", "model_probability", "merged", "merged_probability", "server"}


def test_a_server_that_leaves_the_adapter_out_is_found_out(adapter, server, data, tmp_path, capsys):
    options = ["--server", server, "--served", str(adapter.parent / "base"), "--samples", "24", "--all"]
    out = tmp_path / "check.json"
    assert run(["check", str(adapter), str(data), *options, "--device", "cpu", "--json", str(out)]) == 1
    assert "the base without the adapter (1.000 of the samples): it has dropped the rest" in capsys.readouterr().out
    assert json.loads(out.read_text())["agreement_server"] < ALIKE


def test_a_server_that_really_leaves_the_vision_half_out_is_found_out(adapter, server, data, tmp_path):
    model: Any = load_model(adapter, device="cpu")
    for name, weight in model.named_parameters():
        if "lora_B" in name and "visual" in name:
            torch.nn.init.zeros_(weight)
    language = tmp_path / "language"
    model.merge_and_unload().save_pretrained(language)
    save_processor(load_processor(adapter), language)
    found = check(adapter, data, CheckOptions(server=server, served=str(language), **EVERYTHING))
    assert found.figures()["agreement_server"] < ALIKE
    (said,) = found.said
    assert said.startswith("the server answers as the adapter without its vision layers")
    assert "(1.000 of the samples): it has dropped the rest" in said


def test_what_was_left_out_is_told_by_the_model_whose_answers_they_are():
    mine, language, base = (Answers(tuple(text)) for text in ("wasd", "wadd", "aaaa"))
    others = {"the adapter without its vision layers": language, "the base without the adapter": base}
    (said,) = _dropped({"model": mine, "server": language}, others)
    assert said.startswith("the server answers as the adapter without its vision layers (1.000")
    assert _dropped({"model": mine, "server": mine}, others) == []
    assert "answers otherwise" in _dropped({"model": mine, "server": Answers((None,) * 4)}, others)[0]


def test_answers_that_nobody_can_read_agree_with_nothing():
    unread = Answers((None, "w"))
    assert Checked(("a", "b"), {"model": Answers(("w", "w")), "server": unread}).figures()["agreement_server"] == 0.5
    assert unread.agreement(unread) == 0.5


def test_a_server_is_not_asked_about_several_pictures(adapter, data, tmp_path):
    with_history = shutil.copytree(adapter, tmp_path / "history")
    card = ModelCard.load(with_history)
    replace(card, prompt_version=HISTORY_PROMPT_VERSION, history=History(1, 10, 0.5)).save(with_history)
    with pytest.raises(UserError, match="leave --server out"):
        check(with_history, data, CheckOptions(server="http://127.0.0.1:1/v1", **EVERYTHING))
