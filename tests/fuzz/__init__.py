"""Broken inputs to every command: each ends in one line and an exit code, in bounded time and memory."""
