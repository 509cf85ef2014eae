"""One queue of the pool, as the scout looks after it.

    late ──it answers──▶ usable: counted in each round
      └───given up─────▶ unusable: looked up again in each round

The only queue of a pool is never unusable: then the scout is of no use, and says so (Failed).
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf

from fleet.core import queue_advice
from fleet.core.protocol import Failed, FromScout, Plan
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_place import QueuePlace
from fleet.core.scout_protocol import Sampled, SampleFailed, Trying, Unusable, Usable
from fleet.scout.late_queue import LateQueue
from fleet.scout.recovery import Orders
from fleet.sqs.address import address_of
from fleet.sqs.provision import make_with_dead_letter_queue
from fleet.sqs.queue import SqsQueue
from fleet.system.clock import now

RETRY = 1.0  # seconds between two tries of a queue that is late


class GivenUp(Exception):
    """The pool's only queue cannot be used, and a restart does not help, or it took too long."""


class WatchedQueue:
    """A queue that was found at `found`; `place` is its place in the plan.

    `say` tells the master a word. `orders`: what is to be done for dead dispatchers. `tries_at`:
    when a late queue is tried again (seconds on our clock), else infinity.
    """

    def __init__(
        self,
        plan: Plan,
        place: int,
        late: LateQueue,
        queue: SqsQueue,
        found: QueuePlace,
        say: Callable[[FromScout], object],
    ) -> None:
        self.config = plan.queues[place]
        self._plan, self._place, self._late = plan, place, late
        self._queue, self._found, self._say = queue, found, say
        self.orders = Orders(queue, self.config.config.first_lease, say)
        self._is_usable = False
        self._unusable: Unusable | None = None  # as the master was told last
        self.tries_at = inf

    def look(self, *, in_round: bool) -> QueueError | None:
        """Look it up and count its messages, if that is due; what went wrong. Raises GivenUp."""
        if not in_round and now() < self.tries_at:
            return None
        return self._look_up() or self._count()

    def _look_up(self) -> QueueError | None:
        if self._is_usable:
            return None
        try:
            self._say(self._check())
        except QueueError as error:
            self._note_failure(error)
            return error
        self._is_usable, self._unusable, self.tries_at = True, None, inf
        return None

    def _note_failure(self, error: QueueError) -> None:
        moment = now()
        word = self._late.judge(error, moment)
        if error.trouble is Trouble.SESSION:
            self._queue.renew()
        left = self._late.seconds_left(moment)
        self.tries_at = moment + min(RETRY, max(0.05, left))
        if not isinstance(word, Failed):
            self._say(word)
        elif len(self._plan.queues) == 1:
            self._say(word)
            raise GivenUp
        else:
            self._give_up(Unusable(self._place, word.code, word.why))

    def _give_up(self, word: Unusable) -> None:
        """Try it no more between the rounds, and tell the master why, once."""
        self.tries_at = inf
        self._say(Trying() if word == self._unusable else word)
        self._unusable = word

    def _check(self) -> Usable:
        """One look at the queue. Raises QueueError when it cannot be used, or not yet."""
        name, config = self.config.queue, self.config.config
        if self._plan.local_port is not None:
            make_with_dead_letter_queue(address_of(self._plan, self.config))
        limit = self._queue.max_receive_count()
        if trouble := queue_advice.batch_trouble(name, config.batch_size, limit):
            raise QueueError(Trouble.USAGE, trouble)
        advice = queue_advice.advise_on_redrive(limit) + self._advise_on_dead_letters(limit)
        advice += queue_advice.advise_on_visibility(config.visibility_timeout)
        advice += queue_advice.advise_on_retry_delay(name, config.retry_delay)
        advice += queue_advice.advise_on_topics(
            config.body, config.sns_topic, verified=config.sns_verify
        )
        dead_letters = "" if limit is None else self._queue.dead_letter_queue_name()
        return Usable(replace(self._found, url=self._queue.url), advice, dead_letters, self._place)

    def _advise_on_dead_letters(self, limit: int | None) -> list[str]:
        """Whether the dead-letter queue exists. A pool starts although that is not known now."""
        if limit is None:
            return []
        try:
            self._queue.find_dead_letter_queue()
        except QueueError as error:
            return queue_advice.advise_on_dead_letters(
                self._queue.dead_letter_queue_name(),
                error.trouble,
                direct=self.config.config.dead_letters_directly,
            )
        return []

    def _count(self) -> QueueError | None:
        try:
            self._say(Sampled(self._place, self._queue.depth()))
        except QueueError as error:
            if error.trouble is Trouble.SESSION:
                self._queue.renew()
            self._say(SampleFailed(str(error), self._place))
            return error
        return None
