"""The recipes of docs/your-app-and-fork.md, run as they stand there.

scripts/recipes has the packages.
"""
