"""How much memory this process may still use: what the host has, and what its cgroups leave."""

import re
from dataclasses import dataclass

from fleet.system import pseudo_files
from fleet.system.cgroup import ROOT, memory_limits

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """MiB that can be had without swapping, and MiB in all."""

    available: float
    total: float


class MemoryGauge:
    """Reads the tightest of the host and of every cgroup that this process is in."""

    def __init__(self, root: str = ROOT, proc: str = "/proc") -> None:
        self._meminfo = f"{proc}/meminfo"
        try:
            groups = pseudo_files.read_text(f"{proc}/self/cgroup")
        except OSError:
            groups = ""
        self._limits = [limit for limit in memory_limits(groups, root) if limit.exists()]

    def read(self) -> FreeMemory | None:
        """What there is now; None where neither the host nor a group says."""
        readings = [_read_host(self._meminfo)]
        for limit in self._limits:
            if (pair := limit.read()) is not None:
                readings.append(FreeMemory(pair[0] / _MIB, pair[1] / _MIB))
        known = [each for each in readings if each is not None]
        return min(known, key=lambda each: each.available, default=None)


def _read_host(meminfo: str) -> FreeMemory | None:
    try:
        text = pseudo_files.read_text(meminfo)
    except OSError:
        return None
    fields = {
        name: int(kib) / 1024
        for name, kib in re.findall(r"^(MemTotal|MemAvailable): +(\d+) kB$", text, re.MULTILINE)
    }
    return FreeMemory(fields["MemAvailable"], fields["MemTotal"]) if len(fields) == 2 else None
