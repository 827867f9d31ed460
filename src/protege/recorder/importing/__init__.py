"""Other people's recordings become ordinary Sessions."""
