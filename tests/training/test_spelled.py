# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""Scoring where a slot is more than one token: long names of keys, chords, axes of the mouse."""

import json

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from protege.agent.decode import ChunkDecoder
from protege.core import NO_KEYS, ActionSpace, Plan
from protege.core.chat import Sample
from protege.core.labeled import LabeledSegment, Shape
from protege.core.looking import look
from protege.games.profile import load_game
from protege.training.collate import Collator
from protege.training.data import LabeledData
from protege.training.judge import ScoreOptions, score_model
from protege.training.predict import done_probabilities, predict
from protege.vlm.inputs import Tokens
from protege.vlm.load import load_model, load_processor
from protege.vlm.pixels import PixelSpec
from protege.vlm.shape import AnswerShape

from .test_done import liking_none

FORTY = (*"abcdefghijklmnopqrstuvxyz", *"0123456789", "space", "left", "right", "enter", "shift")
SPACES = {
    "doom": (load_game("chocolate-doom").space, False),
    "forty": (ActionSpace("FORTY", (*FORTY, "none"), frozenset("ad")), False),
    "mouse": (ActionSpace("MOUSE", ("w", "a", "d", "ctrl", "esc", "e", "none"), frozenset("wad"), look=look()), False),
    "chords": (ActionSpace("CHORDS", ("w", "ctrl", "shift", "none"), look=look()), True),
}


def labeled_as(root, space, chords, segments=2, frames=6):
    """Segments whose actions are drawn at random from all that a slot may say."""
    rng = np.random.default_rng(0)
    for number in range(segments):
        folder = root / f"20261121_14250{number}_seg000"
        folder.mkdir(parents=True)
        lines = []
        for i in range(frames):
            Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / f"frame_{i:04d}.jpg")
            keys = [
                frozenset(rng.choice(space.pressable, 1 + chords * int(rng.integers(2)), replace=False))
                for _ in range(7)
            ]
            turned = space.turned(rng.integers(-200, 200, (7, 2)))
            steps = [a | b for a, b in zip(keys, turned, strict=True)] if i < frames - 1 else [NO_KEYS] * 7
            lines.append(json.dumps(Sample(f"frame_{i:04d}.jpg", f"Goal {number}", Plan(tuple(steps))).to_json(space)))
        (folder / "samples.jsonl").write_text("\n".join(lines) + "\n")
        about = LabeledSegment(folder.name, folder.name[:15], 0, frames, f"Goal {number}", space=space)
        about = {**about.to_json(), "shape": vars(Shape(chords=chords))}
        (folder / "segment.json").write_text(json.dumps(about))
    return root


@pytest.fixture(scope="module", params=SPACES)
def asked(request, tiny, tmp_path_factory):
    space, chords = SPACES[request.param]
    data = LabeledData.open(labeled_as(tmp_path_factory.mktemp(request.param), space, chords))
    processor = load_processor(tiny)
    collator = Collator(data, Tokens(processor, space), PixelSpec.of(processor))
    return collator, AnswerShape.of(processor.tokenizer, space, chords=chords)


def test_samples_of_any_space_come_back_as_they_were_written(asked):
    collator, _ = asked
    data = collator.data
    assert data.held.shape == (12, 7)
    assert data.done.tolist() == [i % 6 == 5 for i in range(12)]
    assert any(data[i].plan.steps[0] & data.shape.space.symbols for i in range(12)) == (
        data.shape.space.look is not None
    )


def test_predictions_are_those_of_the_agents_decoder_and_likelihoods_those_of_the_grammar(asked, tiny):
    collator, shape = asked
    data = collator.data
    rows = np.array([0, 3, 8, 11])
    found = predict(load_model(tiny), collator, rows, batch=3)
    decoder, model = ChunkDecoder(load_model(tiny), shape), load_model(tiny)
    for place, row in enumerate(rows):
        inputs = inputs_of(collator, int(row))
        chunk = decoder.decode(inputs)
        if not data.shape.chords:
            assert found.actions(place, data.shape.space) == list(chunk.actions)
        choices = shape.choices(data[int(row)].plan.steps)
        assert found.truth_logp[place].sum() == pytest.approx(logp(model, inputs, shape, choices), abs=1e-3)
        if data.shape.chords:
            assert found.first_probs is None
        else:
            assert found.first_probs is not None
            assert found.first_probs[place].sum() == pytest.approx(1)
            best = shape.parts[0].choices[int(found.first_probs[place].argmax())]
            assert found.first_probs.shape[1] == len(data.shape.space)
            alone = logp(model, inputs, shape, shape.choices((best,)))
            if len(shape.parts) == 1:
                assert np.log(found.first_probs[place].max()) == pytest.approx(alone, abs=1e-3)


def inputs_of(collator, row):
    """What the model takes, up to where the answer begins."""
    batch = collator.batch([row])
    start = int((batch["labels"][0] != -100).nonzero()[0])
    cut = {name: batch[name][:, :start] for name in ("input_ids", "mm_token_type_ids")}
    return {
        **cut,
        "pixel_values": collator.pixels.pixel_values(batch["patches"]),
        "image_grid_thw": batch["image_grid_thw"],
    }


def logp(model, inputs, shape, choices):
    """The probability of some choices, a token after the other, each among all that may follow."""
    from bench.decode import continuations

    tokens, total = shape.ids(choices), 0.0
    tokens += [shape.ender((len(choices) - 1) // len(shape.parts))] if len(choices) % len(shape.parts) == 0 else []
    ids = torch.tensor([tokens])
    asked = {
        "input_ids": torch.cat([inputs["input_ids"], ids], 1),
        "mm_token_type_ids": torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(ids)], 1),
    }
    with torch.no_grad():
        logits = model(**{**inputs, **asked}).logits[0, inputs["input_ids"].shape[1] - 1 :]
    for at, token in enumerate(tokens):
        options = continuations(shape, tokens[:at], -1)
        total += float(logits[at, options].log_softmax(-1)[options.index(token)])
    return total


def test_how_likely_nothing_is_pressed_is_the_product_over_all_parts(asked, tiny):
    collator, shape = asked
    model = load_model(tiny)
    for token in 10 * [*{*shape.idle, shape.sep[0], shape.tail[0]}]:
        model = liking_none(model, collator, token)
    rows = np.arange(0, 12, 5)
    decoder = ChunkDecoder(model, shape)
    probs = done_probabilities(model, collator, rows)
    assert (probs > 0).any()
    for row, probability in zip(rows, probs, strict=True):
        chunk = decoder.decode(inputs_of(collator, int(row)))
        idle = chunk.actions == (NO_KEYS,) * 7
        assert probability == pytest.approx(np.prod(chunk.probabilities) if idle else 0.0, rel=1e-3)


def test_a_score_tells_of_the_mouse(tiny, tmp_path):
    space, _ = SPACES["mouse"]
    data = labeled_as(tmp_path / "data", space, chords=False)
    judged = score_model(tiny, data, ScoreOptions(device="cpu", page=tmp_path / "page.html", out=tmp_path / "s.json"))
    told = json.loads((tmp_path / "s.json").read_text())["look"]
    assert set(told) == {"yaw", "pitch"}
    assert told["yaw"]["turning"] > 0
    assert 0 <= told["yaw"]["direction_accuracy"] <= 1
    assert judged.scores.look["pitch"].error_deg >= 0
    page = (tmp_path / "page.html").read_text()
    assert "<h2>The mouse</h2>" in page
    assert "°" in page
    assert {"majority", "repeat_last"} <= judged.scores.baselines.keys()
    plain = labeled_as(tmp_path / "plain", SPACES["doom"][0], chords=False)
    assert "look" not in score_model(tiny, plain, ScoreOptions(device="cpu", samples=2)).scores.to_json()
