# ruff: noqa: E402  (libraries that may be missing are asked for first)
"""From which probability no key at all means "done"."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from protege.agent.decode import ChunkDecoder
from protege.agent.vision import VisionAgent, VisionOptions
from protege.core import KEYBOARD_12, NO_KEYS
from protege.training.collate import Collator, model_inputs
from protege.training.data import LabeledData
from protege.training.done import FEWEST, choose, told
from protege.training.predict import done_probabilities
from protege.vlm.inputs import Tokens
from protege.vlm.load import load_model, load_processor
from protege.vlm.pixels import PixelSpec, read_picture
from protege.vlm.shape import AnswerShape

LIKING = 2.0


def liking_none(model, collator, none):
    """The model with an output head that mostly likes "none" best: its row leans to what the body says on average."""
    inputs = model_inputs(collator.batch([0]), collator.pixels)
    inputs.pop("labels")
    with torch.no_grad():
        mean = model.model(**inputs).last_hidden_state[0, -30:].mean(0)
        weight = model.lm_head.weight.clone()
        weight[none] += LIKING * mean / mean.dot(mean)
    model.lm_head.weight = torch.nn.Parameter(weight)
    return model


def test_the_probability_of_no_key_is_what_the_agent_decides_by(tiny, labeled):
    """Its product where the agent's greedy plan is done, 0 where it holds a key."""
    processor, data = load_processor(tiny), LabeledData.open(labeled)
    shape = AnswerShape.of(processor.tokenizer, KEYBOARD_12)
    collator = Collator(data, Tokens(processor, KEYBOARD_12), PixelSpec.of(processor))
    model = liking_none(load_model(tiny), collator, shape.idle[0])
    rows = np.arange(0, 72, 4)
    found = done_probabilities(model, collator, rows)
    assert 0 < (found > 0).sum() < len(rows)
    agent = VisionAgent(tiny, options=VisionOptions(frame_size=(64, 64)))
    agent.decoder = ChunkDecoder(model, shape)
    for row, probability in zip(rows, found, strict=True):
        sample = data[int(row)]
        chunk = agent.decoder.decode(agent.inputs(read_picture(sample.path), sample.goal))
        idle = chunk.actions == (NO_KEYS,) * 7
        assert probability == pytest.approx(np.prod(chunk.probabilities) if idle else 0.0, rel=1e-3)


def test_done_is_said_no_more_often_than_it_is_true():
    """Among 970 samples that are not done are 40 hesitations. Calling them done, too, has the best balanced accuracy,
    for it finds every sample that is done; an agent that hesitates would then always believe that it has arrived.
    """
    done = np.arange(1000) < 30
    probs = np.full(1000, 0.0)
    probs[:30] = np.linspace(0.2, 0.9, 30)
    probs[30:70] = np.linspace(0.1, 0.6, 40)
    threshold = choose(probs, done)
    assert threshold is not None
    said = probs > threshold
    assert said.sum() <= 30
    assert (said & done).sum() / said.sum() > 0.6
    rates = {cut: (np.mean(probs[done] > cut) + np.mean(probs[~done] <= cut)) / 2 for cut in np.linspace(0, 1, 101)}
    balanced = max(rates, key=rates.__getitem__)
    assert balanced < 0.25 < threshold


@pytest.mark.parametrize(("done", "others", "found"), [(FEWEST, FEWEST, True), (19, 500, False), (500, 19, False)])
def test_too_few_samples_of_either_kind_give_no_threshold(done, others, found):
    truth = np.arange(done + others) < done
    threshold = choose(np.where(truth, 0.3, 0.1), truth)
    assert threshold == (pytest.approx(0.2) if found else None)
    assert ("0.20 or more" if found else "plays greedily") in told(threshold)


def test_a_model_that_never_has_nothing_to_press_keeps_the_default():
    assert choose(np.zeros(100), np.arange(100) < 50) == 0.5
