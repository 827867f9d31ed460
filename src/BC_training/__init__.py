"""The commands of behaviour cloning under the names of the source documents; `protege.cloning` does the work."""
