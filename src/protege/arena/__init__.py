"""The built-in game: goal-conditioned rooms in a real Doom engine (ViZDoom)."""
