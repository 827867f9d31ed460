"""Fine-tunes Qwen3-VL on labeled segments with LoRA, and scores a model without playing."""
