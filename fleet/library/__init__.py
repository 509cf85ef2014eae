"""One dispatcher inside the program of a user of the library, without a pool."""
