"""Compiled steps are kept for a session's tests and hardly optimised: most of a tiny model's time is compiling."""

import logging

import pytest


@pytest.fixture(scope="session", autouse=True)
def compile_cache(tmp_path_factory):
    import jax

    logging.getLogger("absl").setLevel(logging.ERROR)
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("jax")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
