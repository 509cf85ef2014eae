"""The app of the chaos run: jobs that take a moment, end in every way, and leave things behind."""

import os
import random
import time

import endings
from jobs import VERBS


def nap(seconds: str) -> None:
    """Work for about so long."""
    time.sleep(float(seconds) * random.uniform(0.5, 1.5))


def litter(seconds: str) -> None:
    """Leave a daemon behind that would live for a minute, and work on."""
    VERBS["orphan"]("")
    nap(seconds)


def crash_at_first(name: str) -> None:
    """Die by a signal at the first attempts."""
    if int(os.environ["FLEET_JOB_ATTEMPT"]) < 3:
        VERBS["die"](name)


VERBS |= {"nap": nap, "litter": litter, "crash-at-first": crash_at_first}

job = endings.job
