# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""A tiny Qwen3-VL is a Qwen3-VL: it is built, loads plainly, in 4 bits and below an adapter, and errors are words."""

import json
import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image

from protege.core.chat import prompt
from protege.errors import ProtegeError, UserError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from protege.vlm.load import base_of, is_adapter, load_model, load_processor, resolve_device
from protege.vlm.tiny import TinySize, build_tiny

# peft 0.21 reads an attribute that transformers 5.23 has renamed
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def ask(processor: Any, goal="Go to the lantern", size=(160, 120)):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    content = [{"type": "image", "image": Image.fromarray(pixels)}, {"type": "text", "text": prompt(goal)}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs).logits


def test_plain_transformers_loads_the_tiny_model_and_finds_the_same_weights(tiny):
    from transformers import AutoModelForImageTextToText

    plain = AutoModelForImageTextToText.from_pretrained(tiny)
    ours = load_model(tiny, device="cpu")
    assert type(plain).__name__ == type(ours).__name__ == "Qwen3VLForConditionalGeneration"
    assert plain.lm_head.weight is plain.model.language_model.embed_tokens.weight
    for a, b in zip(plain.state_dict().values(), ours.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tiny, tmp_path):
    weights = [
        (build_tiny(tmp_path / str(seed), seed=seed, size="nano") / "model.safetensors").read_bytes() for seed in (0, 1)
    ]
    assert weights[0] == (tiny / "model.safetensors").read_bytes()
    assert weights[0] != weights[1]


def test_building_leaves_the_random_state_of_the_caller_alone(tmp_path):
    before = torch.get_rng_state()
    build_tiny(tmp_path / "tiny", size="nano")
    assert torch.equal(before, torch.get_rng_state())


def test_a_frame_becomes_one_token_for_every_32_by_32_pixels(tiny):
    processor = load_processor(tiny)
    for size, tokens in (((160, 120), 20), ((320, 240), 80), ((640, 480), 300)):
        inputs = ask(processor, size=size)
        assert int((inputs["input_ids"] == processor.image_token_id).sum()) == tokens


def test_the_final_norm_lets_a_random_head_be_sure(tiny):
    """With weights near 1 in the last norm every logit stays below 5, and LoRA on a frozen head cannot learn."""
    model = load_model(tiny, device="cpu")
    assert float(logits(model, ask(load_processor(tiny))).abs().max()) > 3


def test_the_picture_reaches_the_answer_and_so_does_where_things_are(tiny):
    model, processor = load_model(tiny, device="cpu"), load_processor(tiny)
    inputs = ask(processor)
    mirrored = {**inputs, "pixel_values": inputs["pixel_values"].flip(0)}
    assert not torch.allclose(logits(model, inputs), logits(model, mirrored), atol=1e-4)


def test_a_tiny_model_answers_with_generate(tiny):
    model: Any = load_model(tiny, device="cpu")
    inputs = ask(load_processor(tiny))
    answer = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert answer.shape[1] > inputs["input_ids"].shape[1]


def test_four_bits_quantise_the_language_layers_and_leave_vision_merger_and_head_as_they_are(tiny):
    bnb = pytest.importorskip("bitsandbytes")
    plain, quantised = load_model(tiny, device="cpu"), load_model(tiny, four_bit=True, device="cpu")
    layers = [name for name, module in quantised.named_modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert layers
    assert all("language_model.layers" in name for name in layers)
    inputs = ask(load_processor(tiny))
    a, b = logits(plain, inputs).flatten(), logits(quantised, inputs).flatten()
    assert float(torch.nn.functional.cosine_similarity(a, b, dim=0)) > 0.9
    assert quantised.get_memory_footprint() < 0.8 * plain.get_memory_footprint()


def test_a_model_quantised_on_disk_loads_without_being_asked_to(tiny, tmp_path):
    bnb = pytest.importorskip("bitsandbytes")
    load_model(tiny, four_bit=True, device="cpu").save_pretrained(tmp_path / "nf4")
    for four_bit in (False, True):
        model = load_model(tmp_path / "nf4", four_bit=four_bit, device="cpu")
        assert any(isinstance(module, bnb.nn.Linear4bit) for module in model.modules())


@pytest.fixture
def adapter(tiny, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(load_model(tiny, device="cpu"), LoraConfig(r=4, target_modules="all-linear"))
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # born as zeros, which would change nothing
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_loads_on_its_base_and_merged_weights_answer_the_same(tiny, adapter):
    inputs = ask(load_processor(tiny))
    base, tuned, merged = (
        logits(load_model(source, device="cpu", merge=merge), inputs)
        for source, merge in ((tiny, False), (adapter, False), (adapter, True))
    )
    assert is_adapter(adapter)
    assert not is_adapter(tiny)
    assert not torch.allclose(base, tuned, atol=1e-3)
    assert torch.allclose(tuned, merged, atol=1e-3)


def test_a_base_that_moved_together_with_its_adapter_is_found(tiny, adapter, tmp_path):
    config = adapter / "adapter_config.json"
    fields = json.loads(config.read_text())
    config.write_text(json.dumps({**fields, "base_model_name_or_path": "elsewhere/tiny"}))
    shutil.copytree(tiny, tmp_path / "tiny")
    assert base_of(adapter) == str(tmp_path / "tiny")


def test_a_missing_folder_is_named_with_the_way_to_make_one(tmp_path):
    for load in (load_model, load_processor):
        with pytest.raises(UserError, match=r"no such folder.*protege tiny-base"):
            load(tmp_path / "none")


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(UserError, match="no model here"):
        load_model(tmp_path)


def test_another_kind_of_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UserError, match=r"is a llama model; this needs one of Qwen3-VL, .*SmolVLM"):
        load_model(tmp_path)


def test_damaged_weights_are_an_error_in_words(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        load_model(tmp_path / "damaged", device="cpu")


def test_a_hub_name_without_a_hub_says_how_to_fetch_it(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for load in (load_model, load_processor):
        with pytest.raises(ProtegeError, match=r"hub is switched off.*hf download nobody/nothing"):
            load("nobody/nothing")


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(UserError, match="no CUDA device"):
        resolve_device("cuda:0")


def test_what_cannot_be_built_is_refused(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(UserError, match="not empty"):
        build_tiny(tmp_path)
    with pytest.raises(UserError, match="the sizes are"):
        build_tiny(tmp_path / "new", size="huge")
    with pytest.raises(UserError, match="multiple of 32"):
        TinySize(hidden=100)
    with pytest.raises(UserError, match="deepstack"):
        TinySize(deepstack=(7,))
