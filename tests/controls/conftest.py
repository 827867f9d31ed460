"""Small recordings whose every number says where it comes from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protege.controls.recordings import Recording
from protege.controls.synth import SynthOptions, synthesize
from protege.controls.tables import DEFAULT_STATE


@pytest.fixture
def recording():
    """recording(length, seed=0, **changed): random landmarks, nothing pressed, an ordinary state."""

    def make(length=60, seed=0, **changed):
        rng = np.random.default_rng(seed)
        made = Recording(
            rng.normal(0, 0.3, (length, 260)).astype(np.float32),
            np.zeros((length, 28), np.float32),
            np.tile(DEFAULT_STATE, (length, 1)),
            np.arange(length) / 30,
            30.0,
            "mixed",
            Path(f"r{seed}.npz"),
        )
        return replace(made, **changed)

    return make


@pytest.fixture(scope="session")
def played():
    """A minute of a simulated player of whom every control is used."""
    return synthesize(3, "mixed", SynthOptions(frames=1800))
