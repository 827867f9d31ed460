"""See it work: the whole loop on the built-in game, from a recording to a model that plays, on one page."""

from protege.demo.loop import FULL, QUICK, Scale, run

__all__ = ["FULL", "QUICK", "Scale", "run"]
