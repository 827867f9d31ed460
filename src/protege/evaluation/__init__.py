"""Policies that play, scored: the built-in game, ViZDoom's scenarios, roll-outs beside the expert."""
