"""The game's real screen, keyboard and windows, behind the protocols of `core.devices`."""
