"""Every family of models trains, is scored and plays, and decodes as constrained generation does."""

import numpy as np
import pytest

pytest.importorskip("trl")
pytest.importorskip("vizdoom")

from bench import families
from protege.agent.decode import ChunkDecoder
from protege.agent.forward_reader import ForwardReader
from protege.agent.vision import VisionAgent, VisionOptions
from protege.core import Frame
from protege.evaluation.episodes import Player, jobs, play_all
from protege.training.judge import ScoreOptions, score_model
from protege.training.run import train
from protege.vlm.family import FAMILIES, QUICK
from protege.vlm.load import load_model
from tests.training.conftest import label
from tests.training.test_run import config

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    return label(tmp_path_factory.mktemp("labeled"), segments=4, frames=4)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def base(request, tmp_path_factory):
    return families.build(tmp_path_factory.mktemp("families") / request.param, request.param)


def test_it_trains_is_scored_and_plays(base, labeled, tmp_path):
    made = train(config(base, labeled, tmp_path / "run", "training.max_steps=2"))
    assert made.steps == 2
    judged = score_model(made.output, labeled, ScoreOptions(samples=4, device="cpu", untuned_base=False))
    assert judged.scores.cross_entropy
    agent = VisionAgent(made.output, options=VisionOptions(device="cpu"))
    assert len(agent.predict(Frame(np.zeros((64, 64, 3), np.uint8), 0), "Open the door").steps) == 7
    (played,) = play_all(Player(str(made.output), execute=7, device="cpu"), jobs(10_000, 1), say=lambda text: None)
    assert played.decisions == len(played.path) - 1 > 0


def test_it_decodes_as_constrained_generation_does(base):
    same, passes = families.measure(base, 3)
    assert same == 3
    assert passes <= 7


def test_the_quick_reader_reads_what_the_model_itself_reads(tmp_path):
    (quick,) = QUICK
    agent = VisionAgent(families.build(tmp_path / "model", quick), options=VisionOptions(device="cpu"))
    slow = ChunkDecoder(load_model(agent.source, device="cpu"), agent.decoder.shape)
    slow.reader = ForwardReader(load_model(agent.source, device="cpu").model)
    for seed in range(4):
        rgb = np.random.default_rng(seed).integers(0, 256, (64, 96, 3), np.uint8)
        inputs = agent.inputs(rgb, "Go to the lantern")
        mine, reference = (decoder.decode(inputs) for decoder in (agent.decoder, slow))
        assert mine.actions == reference.actions
        assert mine.probabilities == pytest.approx(reference.probabilities, abs=1e-4)
