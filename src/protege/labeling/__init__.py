"""Recordings to training data: segments, goals from a vision-language model, goal-conditioned chat JSONL."""

from protege.labeling.backends.given import Given
from protege.labeling.run import LabelOptions, LabelResult, label
from protege.labeling.store import LabeledSegment, approve, find_segments

__all__ = ["Given", "LabelOptions", "LabelResult", "LabeledSegment", "approve", "find_segments", "label"]
