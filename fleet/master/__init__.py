"""The first process: starts the others, listens to them, and does what core/pool decides."""
