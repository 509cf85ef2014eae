"""The command line: one file a command; main.py chooses among them, and __main__.py before it what
must be quick.
"""
