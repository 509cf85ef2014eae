"""How long a poll may be where something between the host and SQS cuts polls at the same age.

    cut, then cut again at that age    no poll is as long as that any more, for now
    no answer when it was due, twice   dropped without a word, at an unknown age: half as long
    AGAIN seconds later                one is tried at full length; if it fails, nothing changes
    one is answered at an older age    nothing cuts: polls are as long as they were

No poll is made shorter than SHORTEST, because SQS answers one that does not wait from a few of its
servers only. So what becomes of a poll that is no longer than that says nothing here.

What a poll that is cut was about to bring is hidden for a lease and has lost an attempt, so two
cuts are enough. The second poll must have begun after the first was cut: polls that were open side
by side when a network went away were cut by that, and not by their age.
"""

from dataclasses import dataclass
from math import floor, inf

from fleet.core.records import replace

# Seconds: a poll that is cut earlier is not cut for its age. An answer of SQS may be as late.
LEAST = 0.5
ABOUT = 0.15  # two ages are the same within so many seconds, and this share of the age
SHORTER = 0.8  # of the age at which polls are cut
FULL_LENGTH = 0.9  # of the wait
SHORTEST = 1  # seconds: how long polls are at least, unless they are not to wait at all
AGAIN = 600.0  # seconds until a longer poll is tried


@dataclass(frozen=True, slots=True)
class Cuts:
    """The last cut, at which age (seconds) and when; and what follows for polls.

    `longest` is how long a poll may be, `again_at` when a longer one is tried.

    `silent`: the last cut was none that was seen: no answer came until the client gave up.
    `proof`: a poll that is answered at an older age says that nothing cuts. `tried`: a longer poll
    is under way.
    """

    age: float = 0.0
    at: float = -inf
    longest: float = inf
    again_at: float = inf
    proof: float = 0.0
    tried: bool = False
    silent: bool = False


def note_cut(cuts: Cuts, now: float, took: float, wait: float) -> Cuts:
    """A poll of `wait` seconds got no answer, and ended after `took` seconds."""
    if took < LEAST or wait <= SHORTEST:
        return cuts
    silent = took >= wait + LEAST
    # How long the client waits follows from the poll's length, and is no age to compare.
    alike = cuts.silent if silent else abs(took - cuts.age) <= _tolerance(took)
    again = alike and now - took >= cuts.at - LEAST
    shorter = min(wait, cuts.longest) / 2 if silent else took * SHORTER
    longest = float(max(SHORTEST, floor(shorter)))
    if not again or cuts.tried or longest >= cuts.longest:
        proof = cuts.proof
        if cuts.longest == inf:
            proof = FULL_LENGTH * wait if silent else took + _tolerance(took)
        return replace(cuts, age=took, at=now, proof=proof, tried=False, silent=silent)
    proof = longest + _tolerance(longest) if silent else took + _tolerance(took)
    return Cuts(took, now, longest, now + AGAIN, proof, silent=silent)


def _tolerance(age: float) -> float:
    """By how much two ages may differ."""
    return ABOUT * (1 + age)


def note_answer(cuts: Cuts, took: float) -> Cuts:
    """A poll was answered after `took` seconds."""
    return Cuts() if took > cuts.proof else cuts


def longest_poll(cuts: Cuts, now: float, wait: float) -> float:
    """How long the next poll may be, of at most `wait` seconds."""
    return wait if now >= cuts.again_at else min(wait, cuts.longest)


def note_poll(cuts: Cuts, now: float) -> Cuts:
    """The next poll is asked for. One longer poll is enough to find out."""
    return replace(cuts, again_at=now + AGAIN, tried=True) if now >= cuts.again_at else cuts
