"""What `ps` shows of a process."""

import setproctitle

from fleet.core.plain_text import one_line


def show(title: str) -> None:
    """Have the title shown from now on."""
    setproctitle.setproctitle(one_line(title))
