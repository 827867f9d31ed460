"""Corrections as a loop: play, take over, label, train on everything, score, and keep the better model."""

from protege.improve.loop import Improved, run
from protege.improve.options import ImproveOptions

__all__ = ["ImproveOptions", "Improved", "run"]
