"""The process that a slot stands for: it receives, runs and settles one message at a time."""
