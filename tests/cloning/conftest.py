"""Compiled steps are kept for all tests of a session: most of the time of tiny models is compiling."""

import logging

import pytest


@pytest.fixture(scope="session", autouse=True)
def compile_cache(tmp_path_factory):
    import jax

    logging.getLogger("absl").setLevel(logging.ERROR)
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("jax")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
