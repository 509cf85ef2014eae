"""What a run has measured so far, on what, and its file, which is written after every step."""

import json
import subprocess
import time
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
    quick: bool = False  # its figures mean nothing
    began: float = field(default_factory=time.monotonic)
    host: str = field(default_factory=host)
    commit: str = field(default_factory=lambda: _commit())

    def step(self, name: str, measure: Callable[[], None]) -> None:
        """One step of the run; a failure is noted, and the run goes on."""
        minutes = (time.monotonic() - self.began) / 60
        CONSOLE.print(f"{minutes:5.1f} min: measuring {name} …", markup=False)
        try:
            measure()
        except BenchError as error:
            self.broken.append(f"{name}: {error}")
            CONSOLE.print(self.broken[-1], markup=False)
        self.save()

    def save(self) -> None:
        if self.path:
            self.path.write_text(lines(self.plain()))

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "commit": self.commit,
            "host": self.host,
            "versions": self.versions,
            "quick": self.quick,
            "minutes": round((time.monotonic() - self.began) / 60, 1),
            "broken": self.broken,
            "figures": [{**asdict(f), "ratio": f.ratio, "met": f.met} for f in self.figures],
            "records": [asdict(record) for record in self.records],
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
        }

    @property
    def is_good(self) -> bool:
        """Whether all could be measured and every bar is met."""
        return not self.broken and all(figure.met is not False for figure in self.figures)


def lines(plain: dict[str, Any]) -> str:
    """JSON with one figure a line, so that a diff shows which ones have changed."""
    parts = [f"{json.dumps(name)}: {_value(value)}" for name, value in plain.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _value(value: object) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(json.dumps(each, ensure_ascii=False) for each in value) + "\n]"


def _commit() -> str:
    """The checkout's, with `+` when files differ from it; empty without git."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    said = subprocess.run(git, capture_output=True, text=True, check=False)
    return said.stdout.strip()
