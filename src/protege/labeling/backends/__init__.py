"""Who answers the question "what is the goal of this segment?": a stored goal, or a Qwen vision-language model."""
