"""Polls that something between us and SQS cuts at the same age, again and again: how long a poll
may be.

    cut, then cut again at about the same age   no poll is as long as that any more, for now
    no answer though it was time, twice         it was dropped without a word, at what age nobody knows: half as long
    AGAIN seconds later                         one is tried at its full length; if it fails, nothing changes
    a poll comes home at an older age           there is nothing that cuts: polls are as long as they were

What such a poll was about to bring is hidden for a lease and has lost an attempt, so two of them
are enough. Of the second one must be known that it began after the first was cut: polls that were
open side by side when a network went away were cut by that, and not by their age.
"""

from dataclasses import dataclass, replace
from math import floor, inf

LEAST = 0.5  # seconds: what is cut earlier is cut whatever its age is; and what SQS may be late
ABOUT = 0.15  # as a share of the age, and as seconds too: the same age
SHORTER = 0.8  # of that age
FULL_LENGTH = 0.9  # of the wait
AGAIN = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Cuts:
    """The last cut: at which age (seconds) and when; how long a poll may be, and when one is tried
    that is longer.

    `proof`: a poll that comes home older than that says that nothing cuts. `tried`: such a one is
    under way.
    """

    age: float = 0.0
    at: float = -inf
    longest: float = inf
    again_at: float = inf
    proof: float = 0.0
    tried: bool = False


def note_cut(cuts: Cuts, now: float, took: float, wait: float) -> Cuts:
    """A poll that was to wait so long, or shorter, got no answer, and ended after `took` seconds."""
    if took < LEAST:
        return cuts
    silent = took >= wait + LEAST
    again = now - took >= cuts.at - LEAST and abs(took - cuts.age) <= _tolerance(took)
    longest = floor(min(wait, cuts.longest) / 2) if silent else floor(took * SHORTER)
    if not again or cuts.tried or longest >= cuts.longest:
        proof = (
            cuts.proof
            if cuts.longest < inf
            else FULL_LENGTH * wait
            if silent
            else took + _tolerance(took)
        )
        return replace(cuts, age=took, at=now, proof=proof, tried=False)
    proof = longest + _tolerance(longest) if silent else took + _tolerance(took)
    return Cuts(took, now, float(longest), now + AGAIN, proof)


def _tolerance(age: float) -> float:
    """By how much two ages may differ."""
    return ABOUT * (1 + age)


def note_answer(cuts: Cuts, took: float) -> Cuts:
    """A poll was answered after `took` seconds."""
    return Cuts() if took > cuts.proof else cuts


def longest_poll(cuts: Cuts, now: float, wait: float) -> float:
    """How long the next poll may be, that is to be `wait` seconds long."""
    return wait if now >= cuts.again_at else min(wait, cuts.longest)


def note_poll(cuts: Cuts, now: float) -> Cuts:
    """A poll of that length is asked for: one is enough to find out."""
    return replace(cuts, again_at=now + AGAIN, tried=True) if now >= cuts.again_at else cuts
