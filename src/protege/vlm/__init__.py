"""Qwen3-VL: loading it, its processor, its inputs, and a tiny one for machines without a GPU.

Labeling, training and the agent share this package; torch and transformers load inside its functions.
"""
