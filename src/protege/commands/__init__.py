"""The commands: they parse arguments, call a stage, and print. One module each, imported when it is called."""
