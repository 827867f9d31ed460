"""One tiny model for all tests of this folder, and no way to the hub."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _offline(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("TOKENIZERS_PARALLELISM", "false")
    yield
    patch.undo()
