"""The command line: one file a command, and main.py, which chooses among them."""
