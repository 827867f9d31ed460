"""Compiled steps are kept for one run of the tests, and hardly optimised: most of a tiny model's time is compiling."""

import os


def folder(tmp_path_factory):
    """Where all workers, and the processes that their tests start, keep what they compiled."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "jax"


def settings(folder):
    """JAX's settings, by name."""
    return {
        "jax_disable_most_optimizations": True,
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
        # A bound makes JAX lock the folder: without the lock one worker reads what another has half written.
        "jax_compilation_cache_max_size": 1 << 30,
    }


def environment(folder, **more):
    """The same for a process of its own, on one device."""
    jax = {name.upper(): str(value) for name, value in settings(folder).items()}
    return {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", **jax, **more}
