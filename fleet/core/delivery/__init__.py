"""One message from its receive to its settlement, as a pure state machine: machine.py."""
