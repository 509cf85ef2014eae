"""An app that looks, at its import, whether the template has rehearsed a job, and what is left of
that.
"""

import dis
import os

from jobs import job, write

from fleet.job import call


def names(*, adaptive: bool) -> list[str]:
    return [each.opname for each in dis.get_instructions(call.call_job, adaptive=adaptive)]


write(
    "imported",
    "",
    {
        "settled": names(adaptive=True) != names(adaptive=False),
        "variables": [name for name in os.environ if name.startswith("FLEET_JOB_")],
    },
)

__all__ = ["job"]
