"""The vision agent: what it loads and refuses, what it answers, and what it guesses from the plan before."""

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from protege.agent.vision import VisionAgent, VisionOptions, first_guess, shifted
from protege.core import KEYBOARD_12, NO_KEYS, ActionSpace, Frame
from protege.core.card import ModelCard
from protege.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
W, LEFT = frozenset("w"), frozenset(("left",))
GOAL = "Go to the lantern"


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """The tiny model with a card, as training leaves a merged one."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    shutil.copytree(tiny, folder)
    ModelCard("vision", "tiny", frame_size=(160, 120), frame_hz=5.0).save(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tiny, tmp_path_factory):
    """A LoRA adapter on the tiny model whose weights say something else than the base."""
    import torch
    from peft import LoraConfig, get_peft_model

    from protege.vlm.load import load_model

    folder = tmp_path_factory.mktemp("adapter") / "lora"
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(load_model(tiny), config)
    model.save_pretrained(folder)
    ModelCard("vision", str(tiny), frame_size=(160, 120)).save(folder)
    return folder


def test_actions_come_as_text_from_a_picture_in_any_form(trained, noise, tmp_path):
    agent = VisionAgent(trained, GOAL)
    rgb = noise().rgb
    actions = agent.predict_actions(rgb)
    assert len(actions) == 7
    assert set(actions) <= set(KEYBOARD_12.keys)
    path = tmp_path / "frame.png"
    Image.fromarray(rgb).save(path)
    assert agent.predict_actions(Image.fromarray(rgb)) == agent.predict_actions(path) == actions
    assert agent.predict(noise(), GOAL).steps == tuple(map(KEYBOARD_12.parse, actions))
    assert agent.last is not None
    assert all(0 < p <= 1 for p in agent.last.probabilities)


def test_adapters_and_base_models_are_loaded_too_and_differ(tiny, adapter, noise):
    base = VisionAgent(tiny, GOAL, VisionOptions(frame_size=(160, 120)))
    tuned = VisionAgent(adapter, GOAL)
    frames = [noise(seed=seed) for seed in range(4)]
    assert [base.predict(f, GOAL) for f in frames] != [tuned.predict(f, GOAL) for f in frames]


def test_four_bits_are_loaded(adapter, noise):
    agent = VisionAgent(adapter, GOAL, VisionOptions(four_bit=True))
    assert len(agent.predict(noise(), GOAL).steps) == 7


def test_frames_of_any_size_are_brought_to_the_one_it_was_trained_on(trained):
    agent = VisionAgent(trained, GOAL)
    small = agent.inputs(np.zeros((120, 160, 3), np.uint8), GOAL)
    large = agent.inputs(np.zeros((480, 640, 3), np.uint8), GOAL)
    assert small["pixel_values"].shape == large["pixel_values"].shape


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"space": ActionSpace("OTHER", ("a", "none"))}, "action space|space OTHER"),
        ({"horizon": 5}, "horizon 5, this needs 7"),
        ({"prompt_version": 99}, "prompt version 99"),
        ({"kind": "controls"}, "kind controls"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_in_words(trained, tmp_path, change, words):
    replace(ModelCard.load(trained), **change).save(tmp_path)
    with pytest.raises(UserError, match=words):
        VisionAgent(tmp_path, GOAL)


def test_a_frame_size_that_does_not_fit_is_refused_in_words(trained):
    with pytest.raises(UserError, match="frame size"):
        VisionAgent(trained, GOAL, VisionOptions(frame_size=(640, 480)))


def test_an_adapter_without_a_card_is_refused(adapter, tmp_path):
    shutil.copytree(adapter, tmp_path / "bare")
    (tmp_path / "bare" / "card.json").unlink()
    with pytest.raises(UserError, match=r"no card.json"):
        VisionAgent(tmp_path / "bare", GOAL)


class Planted:
    """Writes a file when it is unpickled, as a planted model file could do worse."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize(("kind", "file"), [("tiny", "pytorch_model.bin"), ("adapter", "adapter_model.bin")])
def test_pickled_weights_are_refused_in_words_and_nothing_in_them_runs(kind, file, request, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(request.getfixturevalue(kind), folder)
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    with (folder / file).open("wb") as pickled:
        pickle.dump({"weight": Planted(tmp_path / "ran")}, pickled)
    with pytest.raises(UserError, match="safetensors"):
        VisionAgent(folder, GOAL, VisionOptions(frame_size=(160, 120)))
    assert not (tmp_path / "ran").exists()


def test_options_that_cannot_be_are_refused():
    with pytest.raises(UserError, match="--temperature"):
        VisionOptions(temperature=-1)
    with pytest.raises(UserError, match="backend"):
        VisionOptions(backend="magic")
    with pytest.raises(UserError, match="--decoding careful: expected one of auto, greedy"):
        VisionOptions(decoding="careful")


def test_unsloth_without_a_gpu_is_an_error_in_words(trained):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="CUDA"):
        VisionAgent(trained, GOAL, VisionOptions(backend="unsloth"))


def test_the_next_chunk_is_drafted_from_the_plan_before_moved_by_the_time_between(trained, noise):
    agent = VisionAgent(trained, GOAL)
    plain = VisionAgent(trained, GOAL, VisionOptions(draft=False))
    frames = [noise(0.2 * n, seed=n // 3) for n in range(6)]  # five frames a second, as the card says
    drafted = [agent.predict(frame, GOAL) for frame in frames]
    assert drafted == [plain.predict(frame, GOAL) for frame in frames]
    assert agent._guess(frames[-1].t_ns + 400_000_000, GOAL) == shifted(drafted[-1].steps, 2)
    assert agent._guess(0, "another goal") == first_guess(7)
    assert plain._guess(0, GOAL) is None


def test_shifting_a_plan_repeats_its_last_step_and_never_goes_back():
    steps = (W, LEFT, NO_KEYS)
    assert shifted(steps, 1) == (LEFT, NO_KEYS, NO_KEYS)
    assert shifted(steps, 9) == (NO_KEYS,) * 3
    assert shifted(steps, -2) == steps


def test_temperature_samples_other_actions_and_repeats_with_its_seed(trained, noise):
    hot = VisionOptions(temperature=2.0, seed=3)
    first, second = (VisionAgent(trained, GOAL, hot) for _ in range(2))
    plans = [first.predict(noise(), GOAL) for _ in range(3)]
    assert plans == [second.predict(noise(), GOAL) for _ in range(3)]
    assert len(set(plans)) > 1


def test_warming_up_leaves_no_plan_behind(trained):
    agent = VisionAgent(trained, GOAL)
    agent.warm_up()
    assert agent._guess(0, GOAL) == first_guess(7)
    assert isinstance(agent.predict(Frame(np.zeros((120, 160, 3), np.uint8), 0), GOAL).steps[0], frozenset)
