"""Broken inputs to every command: each ends in one line and an exit code, within time, memory and its folder."""
