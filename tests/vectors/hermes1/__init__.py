"""Second implementation of hermes/1, for vectors only: slow, not constant-time, not for use."""
