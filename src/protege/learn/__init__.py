"""What every learner shares: split, resume, interrupt, config checks, metrics, tables, pages, progress."""
