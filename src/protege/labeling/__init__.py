"""Recordings to training data: segments, goals from a vision-language model, goal-conditioned chat JSONL."""

from protege.core.labeled import LabeledSegment, find_segments
from protege.labeling.backends.base import Given
from protege.labeling.backends.openai import OpenAIServer
from protege.labeling.backends.ray import RayCluster
from protege.labeling.backends.transformers import Transformers
from protege.labeling.dataset import load
from protege.labeling.edit import approve
from protege.labeling.export import ExportOptions
from protege.labeling.job import LabelOptions
from protege.labeling.run import LabelResult, label
from protege.labeling.scoring import Score, score

__all__ = [
    "ExportOptions",
    "Given",
    "LabelOptions",
    "LabelResult",
    "LabeledSegment",
    "OpenAIServer",
    "RayCluster",
    "Score",
    "Transformers",
    "approve",
    "find_segments",
    "label",
    "load",
    "score",
]
