"""Frames of real arena play, and a window to press keys in, for all tests of this folder."""

import gc

import numpy as np
import pytest

from protege.core import KEYBOARD_12, Frame


@pytest.fixture(scope="session")
def questions(tmp_path_factory):
    """36 frames of recorded arena play with their goals."""
    from bench.decode import play_questions

    return play_questions(tmp_path_factory.mktemp("play"), (160, 120), 36)


@pytest.fixture
def noise():
    """A frame of noise at a time."""
    return lambda t_s=0.0, seed=0: Frame(
        np.random.default_rng(seed).integers(0, 256, (120, 160, 3), dtype=np.uint8), round(t_s * 1e9)
    )


@pytest.fixture
def target(xvfb):
    from protege.devices.keyboard import RealKeys
    from tests.agent.target import Target

    found = Target()
    RealKeys(KEYBOARD_12)  # lets go of whatever the test before left down
    yield found
    RealKeys(KEYBOARD_12)
    found.close()
    gc.collect()  # an error kept by a test keeps keyboards, which must close before their server does
