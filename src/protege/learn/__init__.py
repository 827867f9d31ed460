"""What every learner shares: which data is held back, whether a run may go on, how it is stopped."""
