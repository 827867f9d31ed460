"""Closed-loop and speed benchmarks; each prints a table or, with --json, one object."""
