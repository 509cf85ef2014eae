"""The page's recipes: a module each, and the command in its first line."""

import re
import shlex
from dataclasses import dataclass

from tests.support.pool import REPOSITORY

PAGE = REPOSITORY / "docs" / "your-app-and-fork.md"
BLOCK = re.compile(
    r"<!-- app: (\S+) -->\n```python\n# fleet start -q jobs ([^\n]*?) ?(\S+):(\S+)\n(.*?)```",
    re.DOTALL,
)


@dataclass(frozen=True)
class Recipe:
    """One recipe: options of the command, without the queue; the app; the text of its module."""

    options: tuple[str, ...]
    module: str
    attribute: str
    text: str

    @property
    def app(self) -> str:
        """As on the command line."""
        return f"{self.module}:{self.attribute}"


def recipes() -> dict[str, Recipe]:
    """All of the page, by name."""
    return {
        name: Recipe(tuple(shlex.split(options)), module, attribute, text)
        for name, options, module, attribute, text in BLOCK.findall(
            PAGE.read_text(encoding="utf-8")
        )
    }
