"""One dispatcher inside somebody else's program, without a pool."""
