"""What the pool asks the master for. `machine.py` relates it to what can happen (`events.py`)."""

from dataclasses import dataclass
from typing import Any

from fleet.core.pool.state import Pool, Role
from fleet.core.protocol import DispatcherOrder
from fleet.core.scout_protocol import ScoutOrder


@dataclass(frozen=True, slots=True)
class Spawn:
    """Have the template fork a dispatcher for the slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class SpawnHelper:
    """Start a helper."""

    role: Role


@dataclass(frozen=True, slots=True)
class KillHelper:
    """SIGKILL to a helper."""

    role: Role


@dataclass(frozen=True, slots=True)
class Send:
    """Say something to the dispatcher of a slot."""

    slot: int
    order: DispatcherOrder


@dataclass(frozen=True, slots=True)
class OrderScout:
    """Give the scout an order. If its channel has no room for it, OrderNotTaken is told."""

    order: ScoutOrder


@dataclass(frozen=True, slots=True)
class Inspect:
    """Read the slot's record on the scoreboard; the answer is RecordRead."""

    slot: int


@dataclass(frozen=True, slots=True)
class AskStack:
    """Have the dispatcher of a slot write its stack, or a helper, or every process (None)."""

    who: int | Role | None


@dataclass(frozen=True, slots=True)
class TellStack:
    """Log the stack that was asked for, or those of every process (None)."""

    who: int | Role | None


@dataclass(frozen=True, slots=True)
class TerminateDispatcher:
    """SIGTERM to the dispatcher of a slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class KillDispatcher:
    """SIGKILL to the dispatcher of a slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class LogHung:
    """Log `dispatcher.hung`: why a slot's dispatcher is killed. The master adds its pid."""

    slot: int
    why: str


@dataclass(frozen=True, slots=True)
class Log:
    """One event for the log, with its fields."""

    event: str
    fields: dict[str, Any]


Effect = (
    Spawn
    | SpawnHelper
    | Inspect
    | AskStack
    | TellStack
    | KillHelper
    | Send
    | OrderScout
    | TerminateDispatcher
    | KillDispatcher
    | LogHung
    | Log
)

# What every rule of the pool returns: the next pool, and what to do.
Step = tuple[Pool, tuple[Effect, ...]]
