"""The queue that the next grant is for, and how long its poll may be.

The package has the theory of operation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from fleet.core.records import replace
from fleet.core.scheduling.evidence import SETTLE, Answer, Evidence, note_grant
from fleet.core.scheduling.shares import Shares, job_time_for_weight

LOOK = 1.0  # seconds: SQS takes whole ones, and 0 gives false empties
LOOKING = 1 / 4  # of the dispatchers: what may look at quiet queues while others have messages


@dataclass(frozen=True)
class QueueScene:
    """One queue at the moment.

    `allowed`: polls, by polling.py. `may_poll`: it is not paused, denied or backing off. `running`:
    dispatchers with a message of it in hand. `open_polls`: without those that fell silent, which
    are `silent_polls` and only count for the limit; `oldest_poll`: since when the oldest is open;
    `has_long_poll`: one of them is longer than a look. `job_mib`: what a job needs, 0 if it is not
    known. `job_time` as in shares.py, and `job_seconds`, what a job usually takes.
    """

    allowed: int = 1
    may_poll: bool = True
    running: int = 0
    open_polls: int = 0
    silent_polls: int = 0
    oldest_poll: float = inf
    has_long_poll: bool = False
    evidence: Evidence = field(default_factory=Evidence)
    limit: float = inf
    weight: float = 1.0
    job_mib: float = 0.0
    job_time: float = 0.0
    job_seconds: float = 1.0

    @property
    def is_open(self) -> bool:
        """Whether it may be given a grant: every open poll may bring a job."""
        taken = self.running + self.open_polls + self.silent_polls
        return self.may_poll and taken < self.limit


@dataclass(frozen=True)
class PoolScene:
    """The pool at the moment: its queues, in their order, and what it can give.

    `idle`: dispatchers without work or poll, of `size` that are there. `memory_mib`: what jobs to
    come may take, without those that open polls may bring. `starve_after`: seconds. `weighted`: the
    order says nothing.
    """

    queues: Sequence[QueueScene]
    idle: int
    size: int
    memory_mib: float = inf
    weighted: bool = False
    starve_after: float = inf
    shares: Shares = field(default_factory=Shares)


@dataclass(frozen=True, slots=True)
class Choice:
    """The next grant's queue, by its place, and the longest that its poll may be (seconds)."""

    queue: int
    longest: float


def is_quiet(queue: QueueScene, now: float) -> bool:
    """Whether the queue is known to be empty."""
    return queue.evidence.newest is Answer.EMPTY or _waits(queue, now)


def _waits(queue: QueueScene, now: float) -> bool:
    """Whether a poll is open that would have come home by now, if there was a message."""
    return queue.open_polls > 0 and now >= queue.oldest_poll + SETTLE


def claims(scene: PoolScene, now: float) -> tuple[bool, ...]:
    """By queue, whether it takes part and is not quiet: what `shares.advance` is told."""
    return tuple(queue.is_open and not is_quiet(queue, now) for queue in scene.queues)


def choose(scene: PoolScene, now: float) -> Choice | None:
    """The next grant; None if there is nobody to poll, or nothing that may be polled.

    Called again, with the scene `after_choice`, until it returns None.
    """
    if scene.idle <= 0:
        return None
    if len(scene.queues) == 1:
        only = scene.queues[0]
        wants = only.is_open and only.open_polls < only.allowed and _fits(scene, only)
        return Choice(0, inf) if wants else None
    place = _by_weight(scene, now) if scene.weighted else _by_order(scene, now)
    return None if place is None else Choice(place, _longest(scene, place, now))


def after_choice(scene: PoolScene, choice: Choice, now: float) -> PoolScene:
    """The scene once the grant is given."""
    queue = scene.queues[choice.queue]
    after = replace(
        queue,
        open_polls=queue.open_polls + 1,
        oldest_poll=min(queue.oldest_poll, now),
        has_long_poll=queue.has_long_poll or choice.longest > LOOK,
        evidence=note_grant(queue.evidence, now),
        job_time=queue.job_time + queue.job_seconds,
    )
    return replace(
        scene,
        queues=(*scene.queues[: choice.queue], after, *scene.queues[choice.queue + 1 :]),
        idle=scene.idle - 1,
        memory_mib=scene.memory_mib - queue.job_mib,
    )


def _fits(scene: PoolScene, queue: QueueScene) -> bool:
    """Whether one more of its jobs fits into the memory. The first job of a pool always does."""
    if not queue.job_mib or scene.memory_mib >= queue.job_mib:
        return True
    return not any(each.running + each.open_polls + each.silent_polls for each in scene.queues)


def _longest(scene: PoolScene, place: int, now: float) -> float:
    """Long, if that leaves a dispatcher for all that other queues may ask for now.

    At most one long poll is open on a queue.
    """
    if scene.queues[place].has_long_poll:
        return LOOK
    others = (each for number, each in enumerate(scene.queues) if number != place)
    return inf if scene.idle > sum(_polls_missing(each, now) for each in others) else LOOK


def _polls_missing(queue: QueueScene, now: float) -> int:
    """How many polls the queue may ask for: one that waits is enough for a quiet queue."""
    if not queue.is_open:
        return 0
    if is_quiet(queue, now):
        return 0 if queue.open_polls else 1
    return max(1, queue.allowed - queue.open_polls)


# Which queue.


def _by_order(scene: PoolScene, now: float) -> int | None:
    """Strict priority."""
    starved = _starved(scene, now)
    if starved is not None:
        return starved
    pause, quiet = pause_between_looks(scene, now), []
    for place, queue in enumerate(scene.queues):
        if not queue.is_open:
            continue
        if not is_quiet(queue, now):
            if queue.open_polls < queue.allowed and _fits(scene, queue):
                return place
            break
        if not queue.open_polls and _fits(scene, queue):
            if _is_due(queue, pause, now):
                return place
            quiet.append(place)
    return _in_turn(scene, quiet)


def _by_weight(scene: PoolScene, now: float) -> int | None:
    """The least job time for its weight, of the queues that claim a grant or are due."""
    pause = pause_between_looks(scene, now)
    contenders: list[int] = []
    quiet: list[int] = []
    for place, queue in enumerate(scene.queues):
        if not queue.is_open:
            continue
        if not is_quiet(queue, now):
            if queue.open_polls < queue.allowed:
                contenders.append(place)
        elif not queue.open_polls and _fits(scene, queue):
            (contenders if _is_due(queue, pause, now) else quiet).append(place)
    if not contenders:
        return _in_turn(scene, quiet)
    first = min(contenders, key=lambda place: _rank(scene, place))
    return first if _fits(scene, scene.queues[first]) else None


def _rank(scene: PoolScene, place: int) -> tuple[float, float, int]:
    """The least comes first. Of two that have had the same, the one that has waited longer.

    A quiet queue is never behind the clock, so it is as far as the last of the others.
    """
    queue = scene.queues[place]
    had = job_time_for_weight(scene.shares, place, queue.job_time, queue.weight)
    return had, queue.evidence.granted_at, place


def _in_turn(scene: PoolScene, quiet: Sequence[int]) -> int | None:
    """The queue that was asked longest ago; None without any."""
    return min(quiet, key=lambda place: scene.queues[place].evidence.home_at, default=None)


def pause_between_looks(scene: PoolScene, now: float) -> float:
    """Seconds from an empty look at a quiet queue to the next one, while other queues claim.

    So long that all looks together take LOOKING of the dispatchers. In a strict order only the
    queues above the first one that claims are looked at.
    """
    quiet = 0
    for queue in scene.queues:
        if queue.is_open and is_quiet(queue, now):
            quiet += 1
        elif queue.is_open and not scene.weighted:
            break
    return max(0.0, LOOK * (quiet / (LOOKING * max(1, scene.size)) - 1))


def _is_due(queue: QueueScene, pause: float, now: float) -> bool:
    """Whether a quiet queue is to be looked at again, though others have messages.

    Never at the moment when it was found empty: then it is the others' turn.
    """
    home_at = queue.evidence.home_at
    return now > home_at and now >= home_at + pause


def _starved(scene: PoolScene, now: float) -> int | None:
    """The queue that --starve-after lets through, if there is one: the longest without a grant.

    Only between two grants of those above it.
    """
    granted = [queue.evidence.granted_at for queue in scene.queues]
    starved = [
        place
        for place, queue in enumerate(scene.queues)
        if place
        and queue.is_open
        and not queue.open_polls
        and now >= granted[place] + scene.starve_after
        and max(granted[:place]) > max(granted[place:])
        and _fits(scene, queue)
    ]
    return min(starved, key=lambda place: granted[place], default=None)


# When.


def wakes_at(scene: PoolScene, now: float) -> float:
    """When time alone may make another choice, after `now`; infinity if only an event can."""
    if scene.idle <= 0 or len(scene.queues) == 1:
        return inf
    return min((at for at in _moments(scene, now) if at > now), default=inf)


def _moments(scene: PoolScene, now: float) -> Iterator[float]:
    pause = pause_between_looks(scene, now)
    for queue in scene.queues:
        if not queue.is_open:
            continue
        if queue.open_polls:
            yield queue.oldest_poll + SETTLE
        else:
            yield queue.evidence.home_at + pause
            yield queue.evidence.granted_at + scene.starve_after
