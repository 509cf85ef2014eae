"""How many dispatchers this host should have: `decide` turns a depth sample into a size, with why.

Theory of operation
-------------------
Every sample of a queue's counts yields a *need*, the larger of two:

    load      the dispatchers that have been busy, averaged over the target wait (workload.py),
              rounded up: with fewer a backlog would build up
    backlog   v × job seconds / (target wait / 2), rounded up: with so many, what waits now has
              begun within half the target wait, and what comes now waits no longer than that. But
              never more than one dispatcher for each message beside those that are busy: one
              message of an hour's job is one dispatcher's work

v is our part of the visible messages: `visible × ours / (ours + others)`. Ours are our dispatchers
(with batches, the messages that they have in hand) and the messages that we have left hidden;
others' is the rest of what is in flight. So many hosts share a queue without knowing each other, a
new host has its part from its first second, and other hosts' work is never our need. A part of a
message is a message with that probability: else a thousand hosts would each take a tenth of a
message for one.

Of several queues each has a need of its own: by its own counts, jobs and target wait, and no more
than its limit. The pool's need is their sum, rounded up once, and the reason names the queue that
needs most. Dispatchers that are busy for other queues are not ours in a queue's share. All queues
are sampled in one round, and each round is one sample.

Half the target wait, because the counts are late: they lag, samples are seconds apart, and growing
takes steps. The rule does not add to what it asked for before: a backlog that persists asks for the
same size again, so what was late cannot pile up. When the size is right for the arrivals, the wait
stays at half the target or below.

Growing: at once, by GROWTH or by as many as there are, whichever is more, per sample. Never while a
dispatcher is spare (idle, or in a poll that has been open for a second) or when the newest poll
since the sample before came home empty: then what the counts tell of is not there for us (they lag;
a FIFO queue's groups may be blocked; others were quicker), and the need is the load alone.

Shrinking: down to the largest need of the last `shrink_after` seconds, per sample by GROWTH or by
half, whichever is more, and not before the step before is done. The pool takes idle dispatchers
only; one that works finishes its job. A time without samples is no evidence: the size is held, and
the window begins again.

Limits: the bounds of the options, and the memory's room. The reason names what decided.

`wants_sample` says when the next sample should not wait for its turn: when the pool has become busy
to the last dispatcher since the last one, when messages keep coming at once, or when what was
learned since asks for more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.polling import QUICK
from fleet.core.records import replace
from fleet.core.sizing.workload import Workload, count_hidden, job_seconds

GROWTH = 4  # dispatchers: the step that a small pool may take
AIM = 0.5  # of the target wait
NOISE = 1e-9  # of dispatchers: what a sum of parts may be off by
MISSED = 3  # depth intervals without a sample that end what was known
# Shares of the depth interval: the least between two samples, and the same while messages flow.
SOONEST, SOON = 1 / 8, 1 / 4


@dataclass(frozen=True, slots=True)
class Scene:
    """This host at the moment.

    `size` counts dispatchers that are still leaving, too. `spare`: a dispatcher has nothing to do.
    `room`: how many more jobs the memory allows, None is any number. `held`: messages in hand,
    which are more than busy dispatchers with batches.
    """

    desired: int
    size: int
    busy: int
    spare: bool
    room: int | None = None
    held: int = 0

    @property
    def roomy(self) -> float:
        """How many dispatchers the memory allows. One always may work."""
        return inf if self.room is None else max(1, self.busy + self.room)


@dataclass(frozen=True, slots=True)
class Part:
    """A queue's part in the need. `name` is for people; the only queue of a pool needs none.

    `busy` dispatchers have `held` messages of it in hand, of `size` that may work on it. `depth`:
    None if nothing is known of what waits, or nothing may be received.
    """

    work: Workload
    depth: Depth | None
    target_wait: float
    busy: int
    held: int
    size: int
    limit: float = inf
    name: str = ""


def only_part(work: Workload, depth: Depth | None, scene: Scene, config: Config) -> Part:
    """The part of a pool's only queue."""
    return Part(work, depth, config.target_wait, scene.busy, scene.held, scene.size)


@dataclass(frozen=True)
class Sizing:
    """What is remembered between two samples.

    `needs` are pairs (when, how many), each larger than all later ones.
    """

    needs: tuple[tuple[float, int], ...] = ()
    sampled_at: float = -inf
    tight: bool = False  # at the last sample dispatchers were busy, and none was spare
    # The newest poll since then: True brought a message at once, False none, None late or no poll.
    quick: bool | None = None
    asked: bool = False  # the next sample has been asked for
    why: str = ""  # the newest decision, whether it changed anything or not


@dataclass(frozen=True, slots=True)
class Need:
    """How many dispatchers are needed, and the terms of that number, for people."""

    size: int
    terms: str


def note_poll(sizing: Sizing, took: float | None) -> Sizing:
    """A poll has ended: with a message after `took` seconds, or without one (None).

    A message that came late says that the queue was empty, but not that it still is: a burst
    begins so.
    """
    if took is None:
        quick: bool | None = False
    else:
        quick = True if took < QUICK else None
    return sizing if sizing.quick is quick else replace(sizing, quick=quick)


def decide(
    sizing: Sizing,
    parts: Sequence[Part],
    scene: Scene,
    config: Config,
    now: float,
    jitter: float,
) -> tuple[Sizing, int]:
    """The consequence of a sample: what to remember, and the size. `jitter` in [0, 1)."""
    tight = not scene.spare and sizing.quick is not False
    seen = estimate_need(parts, now, jitter, backlog=tight)
    known = now - sizing.sampled_at <= MISSED * config.sample_interval
    needs = _remember(
        sizing.needs if known else ((now, scene.desired),), seen.size, now, config.shrink_after
    )
    if tight and seen.size > scene.desired:
        size, why = _grow(seen, scene, config)
    else:
        size, why = _shrink(seen, needs[0][1], scene, config)
    return Sizing(needs, now, tight and scene.busy > 0, why=why), size


def estimate_need(
    parts: Sequence[Part], now: float, jitter: float, *, backlog: bool = True
) -> Need:
    """How many dispatchers the load and our part of the backlog ask for, without the pool's bounds.

    Without the `backlog` the load alone counts.
    """
    needs = [_need_of(part, now, jitter, backlog=backlog) for part in parts]
    most, terms = max(needs, key=lambda each: each[0])
    size = ceil(sum(each[0] for each in needs) - NOISE)
    if len(parts) == 1:
        return Need(size, terms)
    name = parts[needs.index((most, terms))].name
    others = "" if size == ceil(most) else f"; {size} for all queues"
    return Need(size, f"{name}: {terms}{others}")


def _need_of(part: Part, now: float, jitter: float, *, backlog: bool) -> tuple[float, str]:
    """What one queue needs, in dispatchers and parts of one, and the terms of that."""
    work, depth, busy = part.work, part.depth, part.busy
    load = round(work.load, 2), f"{work.load:.1f} busy on average"
    seconds = job_seconds(work, busy)
    if not backlog or depth is None or not depth.visible or seconds is None:
        return _limited(part, *load)
    in_hand, left = max(busy, part.held), count_hidden(work, now)
    ours, others = max(part.size, in_hand) + left, max(0, depth.in_flight - in_hand - left)
    visible = depth.visible * ours / max(1, ours + others)
    shown = f"{depth.visible} visible"
    shown += f" × {visible / depth.visible:.1%} ours" if others else ""
    spread = part.target_wait * AIM
    timed = visible * seconds / spread if spread else inf
    single = busy + floor(visible + jitter)
    if single < timed:
        waiting: tuple[float, str] = single, f"{shown} + {busy} busy = {single}"
    else:
        waiting = timed, f"{shown} × {seconds:.2g} s / {spread:g} s = {ceil(timed)}"
    return _limited(part, *max(load, waiting, key=lambda each: each[0]))


def _limited(part: Part, size: float, terms: str) -> tuple[float, str]:
    """No more than the queue's own limit."""
    if size <= part.limit:
        return size, terms
    return part.limit, f"{terms}, its limit is {part.limit:g}"


def _remember(
    needs: tuple[tuple[float, int], ...], size: int, now: float, shrink_after: float
) -> tuple[tuple[float, int], ...]:
    """The needs of the window that can still be its largest."""
    return (
        *((at, was) for at, was in needs if was > size and at > now - shrink_after),
        (now, size),
    )


def _grow(seen: Need, scene: Scene, config: Config) -> tuple[int, str]:
    """The size after growing as far as the limits allow, and why; the tightest limit is named."""
    step = scene.desired + max(GROWTH, scene.desired)
    limit, phrase = min(
        (config.most_workers, f"at most {config.most_workers} (--max-workers)"),
        (scene.roomy, f"memory allows {scene.roomy:g}"),
        (step, f"{step} is the step"),
    )
    if limit >= seen.size:
        return seen.size, seen.terms
    return max(scene.desired, int(limit)), f"{seen.terms}, {phrase}"


def _shrink(seen: Need, lasting: int, scene: Scene, config: Config) -> tuple[int, str]:
    """The size after one step down to the largest need of the window, and why."""
    if lasting >= scene.desired or scene.size > scene.desired:
        return scene.desired, seen.terms
    step = scene.desired - max(GROWTH, scene.desired // 2)
    size, why = (
        max(lasting, step, config.fewest_workers),
        f"at most {lasting} needed for {config.shrink_after:g} s",
    )
    if size == lasting:
        return size, why
    phrase = (
        f"at least {size} (--min-workers)"
        if size == config.fewest_workers
        else f"{size} is the step"
    )
    return size, f"{why}, {phrase}"


def wants_sample(
    sizing: Sizing, parts: Sequence[Part], scene: Scene, config: Config, now: float
) -> bool:
    """Whether a sample now could make the pool grow and is worth its request."""
    age = now - sizing.sampled_at
    if scene.spare or sizing.quick is False or age < SOONEST * config.sample_interval:
        return False
    if scene.desired >= min(config.most_workers, scene.roomy):
        return False
    if not sizing.tight or (sizing.quick and age >= SOON * config.sample_interval):
        return True
    return estimate_need(parts, now, 0.0).size > scene.desired
