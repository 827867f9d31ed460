"""Behaviour cloning from pixels in JAX: episodes in zarr, policies in Flax NNX, trained, scored and played."""
