"""DECIDES. Pure: no I/O, no clock, no randomness, no signals, no boto3, no logging.

Time comes in as an argument (seconds, CLOCK_BOOTTIME), chance as a number in [0, 1)
called `jitter`.
"""
