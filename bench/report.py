"""What a run has measured so far, on what, and its file, which is written after every step."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.figures import Figure
from bench.harness import ROOT, BenchError
from bench.tables import host

CONSOLE = Console(stderr=True)


@dataclass
class Report:
    """FIGURES are fleet's beside others', RECORDS each subject's, OUTCOMES those of faults; BROKEN
    says what could not be measured. PATH may be None.
    """

    path: Path | None
    figures: list[Figure] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    outcomes: list[Any] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    host: str = field(default_factory=host)
    commit: str = field(default_factory=lambda: _commit())

    def step(self, name: str, measure: Callable[[], None]) -> None:
        """One step of the run; a failure is noted, and the run goes on."""
        CONSOLE.print(f"measuring {name} …", markup=False)
        try:
            measure()
        except BenchError as error:
            self.broken.append(f"{name}: {error}")
            CONSOLE.print(self.broken[-1], markup=False)
        self.save()

    def save(self) -> None:
        if self.path:
            self.path.write_text(json.dumps(self.plain(), indent=1) + "\n")

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "commit": self.commit,
            "host": self.host,
            "versions": self.versions,
            "broken": self.broken,
            "figures": [{**asdict(f), "ratio": f.ratio, "met": f.met} for f in self.figures],
            "records": [asdict(record) for record in self.records],
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
        }

    @property
    def is_good(self) -> bool:
        """Whether all could be measured and every bar is met."""
        return not self.broken and all(figure.met is not False for figure in self.figures)


def _commit() -> str:
    """The checkout's, with `+` when files differ from it; empty without git."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    said = subprocess.run(git, capture_output=True, text=True, check=False)
    return said.stdout.strip()
