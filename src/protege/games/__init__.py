"""A game's profile: its window, the keys it is played with and what they do, in one commented file."""
