"""What is uploaded, and what happens when it cannot be."""

import pytest

pytest.importorskip("huggingface_hub")

from protege.core.card import ModelCard
from protege.errors import ProtegeError, UserError
from protege.training.outputs import curves, push_to_hub, readme


def test_a_model_is_uploaded_without_its_checkpoints(tmp_path, monkeypatch):
    calls = []

    class Hub:
        def create_repo(self, name, private, exist_ok):
            calls.append((name, private, exist_ok))

        def upload_folder(self, **options):
            calls.append(options)

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    ModelCard("vision", "x").save(tmp_path)
    assert push_to_hub(tmp_path, "me/mine").endswith("/me/mine")
    assert calls[0] == ("me/mine", True, True)
    assert "checkpoints/*" in calls[1]["ignore_patterns"]


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch):
    class Hub:
        def create_repo(self, *_, **__):
            raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    with pytest.raises(UserError, match=r"no card\.json"):
        push_to_hub(tmp_path, "me/mine")
    ModelCard("vision", "x").save(tmp_path)
    with pytest.raises(ProtegeError, match=r"me/mine: not uploaded.*hf auth login"):
        push_to_hub(tmp_path, "me/mine")


def test_a_readme_names_a_base_on_the_hub_but_no_folder(tmp_path):
    assert "base_model: Qwen/Qwen3-VL-8B-Instruct" in readme(ModelCard("vision", "Qwen/Qwen3-VL-8B-Instruct"), None)
    assert "base_model:" not in readme(ModelCard("vision", str(tmp_path)), None)


def test_curves_are_drawn_also_of_nothing():
    pytest.importorskip("matplotlib")
    history = [{"step": 1, "loss": 2.0}, {"step": 2, "eval_cross_entropy": 1.0, "eval_macro_f1": 0.5}]
    for rows in (history, []):
        assert curves(rows)[:4] == b"\x89PNG"
