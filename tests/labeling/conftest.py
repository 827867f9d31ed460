"""No way to the hub, and one tiny model, for all labeling tests."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _offline():
    patch = pytest.MonkeyPatch()
    for name, value in {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }.items():
        patch.setenv(name, value)
    yield
    patch.undo()
