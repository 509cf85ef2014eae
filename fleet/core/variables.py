"""Which of the environment's variables `FLEET_…` are options.

And which are somebody else's, and which were likely meant as one.
"""

import re
from collections.abc import Iterable, Mapping

PREFIX = "FLEET_"
OTHERS = ("FLEET_CONFIG", "FLEET_MAX_AGE", "FLEET_POOL_MARK")  # read elsewhere
OF_JOBS = "FLEET_JOB_"  # in a job's environment, and in that of a pool that a job starts
# What Kubernetes sets in every container for a service that is called fleet, or fleet-something.
_SERVICE = re.compile(
    r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)?$"
)
_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


def is_kubernetes(name: str, value: str) -> bool:
    """Whether it is a service's address and no option.

    For a service `fleet-local` Kubernetes sets `FLEET_LOCAL_PORT=tcp://…`.
    """
    return bool(
        _SERVICE.search(name) and (_ADDRESS.match(value) or not name.endswith("LOCAL_PORT"))
    )


def describe_unknown(environment: Mapping[str, str], options: Iterable[str]) -> list[str]:
    """A line for each variable that no option has, with the nearest that there is."""
    known = {f"{PREFIX}{option.upper()}" for option in options} | set(OTHERS)
    endings = [each.removeprefix(PREFIX) for each in known]
    lines = []
    for name, value in sorted(environment.items()):
        if (
            not name.startswith(PREFIX)
            or name in known
            or name.startswith(OF_JOBS)
            or is_kubernetes(name, value)
        ):
            continue
        import difflib  # here, for the master carries what it has imported

        close = difflib.get_close_matches(name.removeprefix(PREFIX), endings, n=1)
        hint = f"did you mean {PREFIX}{close[0]}?" if close else "fleet config lists them"
        lines.append(f"{name} in the environment is no option; {hint}")
    return lines
