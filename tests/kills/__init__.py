"""Commands that are killed at random moments and run again: nothing is lost, doubled or stuck."""
