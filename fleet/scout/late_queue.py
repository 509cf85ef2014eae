"""What the scout says of a queue that does not answer, and when it gives the queue up."""

from fleet.core.exit_codes import QUEUE_LATE, QUEUE_UNUSABLE, USAGE
from fleet.core.protocol import Failed
from fleet.core.queue import QueueError, Trouble
from fleet.core.scout_protocol import Late, Trying

HOPELESS = (Trouble.DENIED, Trouble.GONE, Trouble.MESSAGE, Trouble.FINAL)  # a restart does not help


class LateQueue:
    """The tries of one look-up, which may take `start_timeout` seconds from the moment `began`.

    `queue`: its place in the plan.
    """

    def __init__(self, start_timeout: float, began: float, queue: int) -> None:
        self._start_timeout, self._deadline = start_timeout, began + start_timeout
        self._queue = queue
        self._said = ""

    def seconds_left(self, moment: float) -> float:
        """How long the queue may still be tried; negative when the time is over."""
        return self._deadline - moment

    def judge(self, error: QueueError, moment: float) -> Failed | Late | Trying:
        """What the master is told of a try that failed; Failed ends the look-up.

        A cause is told once. Further tries that fail by the same one are signs of life.
        """
        left = self.seconds_left(moment)
        if error.trouble is Trouble.USAGE:
            return Failed(USAGE, str(error))
        if error.trouble in HOPELESS:
            return Failed(QUEUE_UNUSABLE, str(error))
        if left <= 0:
            tried = f"tried for {self._start_timeout:g} s (--start-timeout)"
            return Failed(QUEUE_LATE, f"{error}, {tried}")
        if str(error) == self._said:
            return Trying()
        self._said = str(error)
        return Late(self._said, round(left, 1), self._queue)
