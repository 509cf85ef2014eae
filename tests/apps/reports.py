"""A second app, for pools of several queues: its jobs say so in the trace, and do what those of
jobs.py do.
"""

import jobs


def job(body: str) -> object:
    """Write "reported", then as `jobs.job`."""
    jobs.write("reported", body)
    return jobs.job(body)


def put_away(body: str) -> None:
    """An exit handler: say that it was this one."""
    jobs.write("put away", body, "by reports")
