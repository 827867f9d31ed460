"""Protégé learns to play your game by watching you: record, label, train, play."""

__version__ = "0.1.0"
