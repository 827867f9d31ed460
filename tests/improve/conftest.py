"""A vision model to improve."""

import pytest


@pytest.fixture(scope="module")
def begun(tiny, tmp_path_factory):
    """A model of two steps, and what it was trained on."""
    pytest.importorskip("trl")
    pytest.importorskip("vizdoom")
    from protege.arena.record import record_episodes
    from protege.arena.tasks import Task
    from protege.core.session import find_sessions
    from protege.labeling import Given, label
    from protege.settings import load_config
    from protege.training.config import VisionConfig
    from protege.training.run import train

    root = tmp_path_factory.mktemp("begun")
    record_episodes(root / "episodes", 4, 5_000, (160, 120), task=Task.GO_TO)
    label(find_sessions(root / "episodes"), root / "data", Given())
    fixed = [
        *(f"model.base={tiny}", f"data.folder={root / 'data'}", f"output={root / 'model'}", "model.four_bit=false"),
        *("model.device=cpu", "data.workers=0", "data.frame_size=[64,64]", "data.validation=0.3", "lora.r=4"),
        *("training.max_steps=2", "training.batch=2", "training.accumulation=1", "training.report_to=none"),
        *("training.gradient_checkpointing=false", "training.score_samples=2", "training.loss=actions"),
    ]
    train(load_config(VisionConfig, None, fixed))
    return root
