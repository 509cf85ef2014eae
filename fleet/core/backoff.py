"""Exponential backoff with jitter: the pause before the next try grows with every failure.

Jitter keeps those who failed together from coming back together. The caller draws it, a number in
[0, 1), because core draws no random numbers.
"""

MOST_DOUBLINGS = 16  # beyond that every pause is at its longest, and the power only grows


def longest_pause(tries: int, first: float, most: float) -> float:
    """Seconds before the next try after `tries` failures in a row (≥ 1), without jitter.

    That is `first`, doubled by each failure after the first one, at most `most`.
    """
    return float(min(most, first * 2 ** min(tries - 1, MOST_DOUBLINGS)))


def pause_before_next(
    tries: int, first: float, most: float, jitter: float, *, least: float = 0.5
) -> float:
    """The same, shortened by `jitter` in [0, 1) to no less than the share `least` of it.

    With a share of 0 a pause may be next to nothing ("full jitter").
    """
    return longest_pause(tries, first, most) * (least + (1 - least) * jitter)
