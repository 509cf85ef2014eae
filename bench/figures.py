"""A figure: what was measured on one side, on the other, and whether a bar is met."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One line of the table. `values` are fleet's, one a round, and `beside` says whose the others
    are. A bar is an upper bound, or with `at_least` a lower one, of the value or of the ratio.
    """

    measure: str
    unit: str
    values: Sequence[float]
    others: Sequence[float] = field(default=())
    beside: str = "floor"
    bar: float | None = None
    bar_of_ratio: bool = False
    at_least: bool = False

    @property
    def value(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def other_value(self) -> float | None:
        return statistics.median(self.others) if self.others else None

    @property
    def ratios(self) -> list[float]:
        """Round by round: what else the host did in a round met both sides."""
        return (
            [ours / theirs for ours, theirs in zip(self.values, self.others, strict=True)]
            if self.comparable
            else []
        )

    @property
    def comparable(self) -> bool:
        return bool(self.values and self.others)

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.comparable else None

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without one."""
        measured = self.ratio if self.bar_of_ratio else self.value
        if self.bar is None or measured is None:
            return None
        return measured >= self.bar if self.at_least else measured <= self.bar


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
