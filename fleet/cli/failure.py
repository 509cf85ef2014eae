"""How a command fails, and how it says so."""

from fleet.core.plain_text import one_line
from fleet.system import stderr


class CommandFailed(Exception):
    """The command ends with the exit status `code` after one line on standard error.

    `trace`: a traceback of the app's, which stands before that line. `page`: what standard error
    shows in place of both.
    """

    def __init__(self, code: int, text: str, trace: str = "", page: str = "") -> None:
        super().__init__(text)
        self.code, self.trace, self.page = code, trace, page


def complain(text: str) -> None:
    """One line on standard error."""
    stderr.complain(f"fleet: {one_line(text)}\n")
