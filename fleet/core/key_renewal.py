"""When the scout fetches the pool's keys again.

Well before they expire, and at once when SQS refuses them; but a source that fails, or goes on
giving the same keys, is asked at growing distances.

docs/decisions/0031 has the reasons.
"""

from dataclasses import dataclass, replace
from math import inf

from fleet.core.backoff import longest_pause
from fleet.core.queue_place import Keys

AHEAD = 900.0  # seconds before the expiry: what botocore takes
PAUSE_FIRST, PAUSE_MOST = 1.0, 60.0  # seconds between two fetches, at least
CALM = 300.0  # seconds without a fetch after which pauses are short again


@dataclass(frozen=True, slots=True)
class KeyRenewal:
    """The newest keys, and when they are fetched again (`due`, seconds on our clock).

    `not_before`: a refusal brings no fetch before that. `tries`: fetches that followed each other.
    """

    keys: Keys | None = None
    due: float = -inf
    not_before: float = -inf
    tries: int = 0


def note_keys(renewal: KeyRenewal, keys: Keys, now: float, wall: float) -> KeyRenewal:
    """The keys were fetched. `wall`: seconds since the epoch, as the keys' expiry.

    The next fetch is AHEAD of the expiry, or when half of what is left is over if that is later;
    but at the expiry at the latest, since a source may have new ones only then.
    Of the same keys the first expiry counts: botocore puts it off when an instance's role is given
    no new ones.
    """
    before = renewal.keys
    if keys == before and keys.expires_at is not None and before.expires_at is not None:
        keys = replace(keys, expires_at=min(keys.expires_at, before.expires_at))
    renewal = replace(_note_fetch(renewal, now), keys=keys)
    if keys.expires_at is None:
        return replace(renewal, due=inf)
    left = keys.expires_at - wall
    due = max(renewal.not_before, now + max(left - AHEAD, left / 2))
    at_expiry = now + max(left, PAUSE_FIRST)
    return replace(renewal, due=min(due, at_expiry) if left > 0 else due)


def note_failure(renewal: KeyRenewal, now: float) -> KeyRenewal:
    """The keys could not be fetched: it is tried again after the pause."""
    renewal = _note_fetch(renewal, now)
    return replace(renewal, due=renewal.not_before)


def note_refusal(renewal: KeyRenewal, access_key: str, now: float) -> KeyRenewal:
    """SQS has refused keys. If they are still the newest they are fetched again, soon."""
    if renewal.keys is None or renewal.keys.access_key != access_key:
        return renewal
    return replace(renewal, due=min(renewal.due, max(now, renewal.not_before)))


def _note_fetch(renewal: KeyRenewal, now: float) -> KeyRenewal:
    tries = 1 if now >= renewal.not_before + CALM else renewal.tries + 1
    return replace(
        renewal, tries=tries, not_before=now + longest_pause(tries, PAUSE_FIRST, PAUSE_MOST)
    )
