"""Qwen3-VL: its model and processor, its inputs, and a tiny one for machines without a GPU.

torch and transformers are imported inside functions only.
"""
