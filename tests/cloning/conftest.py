"""What is compiled is kept."""

import logging

import pytest

from tests import compiled


@pytest.fixture(scope="session", autouse=True)
def compile_cache(tmp_path_factory):
    """The folder of what is compiled; `compiled.environment` gives it to other processes."""
    import jax

    logging.getLogger("absl").setLevel(logging.ERROR)
    folder = compiled.folder(tmp_path_factory)
    for name, value in compiled.settings(folder).items():
        jax.config.update(name, value)
    return folder
