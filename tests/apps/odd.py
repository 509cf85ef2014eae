"""An app that has changed what fleet's processes say: imported in the template, so in every
dispatcher too.

The odd word is said once, by whoever is the first to come to it; the environment names it.
"""

import os
import socket
from typing import Any

from jobs import SHARED, job

from fleet.core.protocol import Empty, Forked, Report, Settled, Word
from fleet.dispatcher.inbox import Inbox
from fleet.ipc.channel import Channel

NAME = os.environ["ODD"]
WHEN, SAID = {  # what is said in place of a word
    "rubbish": (Empty, [b"\xffrubbish"]),
    "twice": (Settled, [b'["Settled", "deleted", "succeeded", 0.1, false]'] * 2),
    "unasked": (Empty, [b'["Received", 0.1, 10]']),
    "of the scout": (Empty, [b'["Depth", 0, 0, 0]', b'["Empty", 0.1]']),
    "template": (Forked, [b'["Forked", 0, 1]']),
}[NAME]

_say, _send = Inbox.say, Channel.send


def instead(channel: Channel) -> bool:
    """Say it, unless somebody has."""
    try:
        os.close(os.open(SHARED / "said", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    with socket.socket(fileno=os.dup(channel.fileno())) as end:
        for packet in SAID:
            end.send(packet)
    return True


def say(self: Inbox, report: Report) -> None:
    if not (isinstance(report, WHEN) and instead(self._channel)):
        _say(self, report)


def send(self: Channel, word: Word, *more: Any, **rest: Any) -> bool:
    return (isinstance(word, WHEN) and instead(self)) or _send(self, word, *more, **rest)


Inbox.say, Channel.send = say, send  # type: ignore[method-assign]

__all__ = ["job"]
