"""The pool as a pure state machine: machine.py has the theory of operation."""
