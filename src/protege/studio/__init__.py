"""The local web app: watch recordings, correct labels, see models, and what is next."""
