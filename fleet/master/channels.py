"""The master's ends of the channels to its children, by slot or role; its loop waits for them."""

import select

from fleet.core.pool import Role, Source
from fleet.ipc.channel import Channel


class Channels:
    """Every channel of the master's; those that may still say something are in `poll`."""

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._ends: dict[Source, Channel] = {}
        self._sources: dict[int, Source] = {}  # by descriptor

    def add(self, source: Source, end: Channel) -> None:
        """Listen to a child on a new channel."""
        self._ends[source] = end
        self._sources[end.fileno()] = source
        self._poll.register(end.fileno(), select.POLLIN)

    @property
    def slots(self) -> list[int]:
        """The slots that there is a channel for."""
        return [source for source in self._ends if not isinstance(source, Role)]

    def get(self, source: Source) -> Channel | None:
        """Our end; None when there is none."""
        return self._ends.get(source)

    def source_of(self, fd: int) -> Source | None:
        """Whose descriptor it is; None when nobody is listened to on it any more."""
        return self._sources.get(fd)

    def mute(self, source: Source) -> None:
        """Neither hear nor say anything more; the channel stays open."""
        if end := self._ends.get(source):
            self.unlisten(end)
            end.mute()

    def unlisten(self, end: Channel) -> None:
        """Wait for no word on the channel any more."""
        if end.fileno() in self._sources:
            self._poll.unregister(end.fileno())
            del self._sources[end.fileno()]

    def close(self, source: Source) -> None:
        """Hang up, if there is a channel."""
        if end := self._ends.pop(source, None):
            self.unlisten(end)
            end.close()

    def close_all(self) -> None:
        """Hang up on every child; the helpers last."""
        for source in sorted(self._ends, key=lambda each: isinstance(each, Role)):
            self.close(source)
