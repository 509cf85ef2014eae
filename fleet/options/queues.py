"""The queues of a pool: how they are given, and the options of each.

    -q high -q low                strict priority in that order; FLEET_QUEUE=high,low
    -q a=3 -q b=1                 weights
    [[queue]] name = "high" …     in fleet.toml: a table for each, with options of its own

-q chooses: a queue that has a table in the file is still what the table says, and one that has none
takes the options as they are. Without -q and FLEET_QUEUE all tables count, in their order. What a
table says goes before the options of the whole pool, wherever those come from, because it says it
of one queue.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from fleet.core.code_names import explain_malformed, short_name
from fleet.core.config import Config
from fleet.core.queue_config import MOST_QUEUES, OF_A_QUEUE, QueueConfig
from fleet.core.queue_names import is_url, queue_name
from fleet.options import checks
from fleet.options.checks import Check, SettingsError, check_value
from fleet.options.consistency import find_body_conflict, make_consistent
from fleet.options.pool_config import config_of
from fleet.options.settings import Settings

NO_QUEUE = "no queue given; use --queue NAME, FLEET_QUEUE or queue in fleet.toml"
NO_APP = "no APP given"
NO_APP_OF = "no APP given; queue {} has none in its table either"
TOO_MANY = f"{{}} queues are given; a pool has {MOST_QUEUES} at the most: give some to another pool"
MIXED = "some queues have a weight and some have none; give all of them one, or none"

# What no queue's name has, and what may be meant by it.
IN_NO_NAME = {
    " ": "no space",
    ",": "no comma; each queue has a table of its own",
    "=": "no equals sign; weight is a key of its own",
}
IN_NO_TEXT = {" ": "no space; commas separate several", "=": "no equals sign; NAME=N is its weight"}


def read_weight(value: Any) -> float:
    """A finite number above zero."""
    number = checks.read_number(value)
    if number <= 0:
        raise ValueError(value)
    return number


WEIGHT = Check(read_weight, right="a number above 0", metavar="N")
TABLE_KEYS: Mapping[str, Check] = {
    "weight": WEIGHT,
    "limit": checks.BOUND,
    "app": checks.CODE,
    **{each.name: each.metadata["check"] for each in fields(Settings) if each.name in OF_A_QUEUE},
}


@dataclass(frozen=True, slots=True)
class QueueTable:
    """A queue as it is given. `options`: checked, by the names of Settings."""

    queue: str
    weight: float | None = None
    limit: int | None = None
    app: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The queue's own name."""
        return queue_name(self.queue)


def read_queues(value: Any, origin: str) -> tuple[QueueTable, ...]:
    """The queues of an option's value. Raises SettingsError.

    The value: `high,low`, a list of such texts, or a list of tables.
    """
    parts = [value] if isinstance(value, str | Mapping) else value
    if not isinstance(parts, Sequence) or not parts:
        raise _not_queues(value, origin)
    queues: list[QueueTable] = []
    for part in parts:
        if isinstance(part, Mapping):
            queues.append(_read_table(part, origin))
        elif isinstance(part, str):
            queues += [_read_text(text, origin) for text in part.split(",")]
        else:
            raise _not_queues(value, origin)
    return tuple(queues)


def read_tables(value: Any, origin: str) -> tuple[QueueTable, ...]:
    """Those queues of a file that have a table. Raises SettingsError."""
    parts = value if isinstance(value, list) else [value]
    tables = [part for part in parts if isinstance(part, Mapping)]
    return read_queues(tables, origin) if tables else ()


def describe_queues(queues: Iterable[QueueTable]) -> str:
    """As -q has them: `high, low`, or `a=3, b=1`."""
    return ", ".join(
        each.queue if each.weight is None else f"{each.queue}={each.weight:g}" for each in queues
    )


def _not_queues(value: Any, origin: str) -> SettingsError:
    return SettingsError(f"--queue is {value!r} ({origin}); it must be {checks.QUEUE.right}")


def _read_text(text: str, origin: str) -> QueueTable:
    """`name`, or `name=weight`."""
    text = text.strip()
    queue, equals, weight = text.rpartition("=")
    # No queue's name and no ARN has a `=`. A URL may, after its `?`: that one has no weight.
    if not equals or (is_url(text) and "?" in text):
        return QueueTable(_check_queue(text, "--queue", origin, IN_NO_TEXT))
    queue = _check_queue(queue, "--queue", origin, IN_NO_TEXT)
    return QueueTable(queue, check_value(WEIGHT, weight, f"--queue: the weight of {queue}", origin))


def _check_queue(raw: Any, flag: str, origin: str, foreign: Mapping[str, str]) -> str:
    """A name, a URL or an ARN. `foreign`: what is in no name. Raises SettingsError."""
    queue: str = check_value(checks.QUEUE, raw, flag, origin)
    if is_url(queue) and queue == queue.strip():
        return queue
    for sign, why in foreign.items():
        if sign in queue:
            raise SettingsError(f"{flag} is {raw!r} ({origin}); a queue's name has {why}")
    return queue


def _read_table(table: Mapping[str, Any], origin: str) -> QueueTable:
    """A [[queue]] table of fleet.toml."""
    if "name" not in table:
        raise SettingsError(f"{origin}: a [[queue]] table needs a name")
    queue = _check_queue(table["name"], "[[queue]] name", origin, IN_NO_NAME)
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key == "name":
            continue
        if key not in TABLE_KEYS:
            raise SettingsError(
                f"{origin}: [[queue]] {queue}: {key} is no option of a queue; "
                f"known are name, {', '.join(TABLE_KEYS)}"
            )
        given[key] = check_value(TABLE_KEYS[key], value, f"[[queue]] {queue}: {key}", origin)
    own = {key: given.pop(key, None) for key in ("weight", "limit", "app")}
    return QueueTable(queue, **own, options=given)


def choose_queues(
    given: Sequence[QueueTable], tables: Sequence[QueueTable]
) -> tuple[QueueTable, ...]:
    """The queues of the pool: those that are given, as their tables say, or else all tables.

    Raises SettingsError where they cannot all be meant.
    """
    by_name = {each.name: each for each in tables}
    _refuse_twice(tables)
    queues = tuple(_with_table(each, by_name.get(each.name)) for each in given) or tuple(tables)
    if not queues:
        raise SettingsError(NO_QUEUE)
    _refuse_twice(queues)
    if len(queues) > MOST_QUEUES:
        raise SettingsError(TOO_MANY.format(len(queues)))
    if len({each.weight is None for each in queues}) > 1:
        raise SettingsError(MIXED)
    return queues


def _with_table(given: QueueTable, table: QueueTable | None) -> QueueTable:
    """A queue that is given by its name alone is where its table says."""
    if table is None:
        return given
    queue = table.queue if given.queue == given.name else given.queue
    weight = table.weight if given.weight is None else given.weight
    return replace(table, queue=queue, weight=weight)


def _refuse_twice(queues: Iterable[QueueTable]) -> None:
    """By its own name a queue is shown and asked for. Raises SettingsError."""
    seen: dict[str, QueueTable] = {}
    for each in queues:
        if before := seen.get(each.name):
            both = each.name if before.queue == each.queue else f"{before.queue}, {each.queue}"
            raise SettingsError(f"two queues have the same name: {both}")
        seen[each.name] = each


@dataclass(frozen=True, slots=True)
class Given:
    """The pool's options as they are given: each checked, and where it came from.

    They are not complete: the rules between them (consistency.py) hold for each queue on its own.
    `may_resize`: nobody has said how many workers.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    may_resize: bool


def queues_of(given: Given, queues: Sequence[QueueTable], app: str) -> list[QueueConfig]:
    """Each queue with its options, complete and consistent. Raises SettingsError.

    `app`: of the queues that have none in their table; empty if it was not given.
    """
    if not app and not any(each.app for each in queues):
        raise SettingsError(NO_APP)
    if app and (trouble := explain_malformed(app)):
        raise SettingsError(trouble)
    if not queues:
        raise SettingsError(NO_QUEUE)
    name = given.values["name"] or pool_name(queues, app)
    made = [_config_of(each, given, name, app) for each in queues]
    if given.values["starve_after"] is not None and made[0].weight is not None:
        raise SettingsError(
            "--starve-after and weights exclude each other: with weights no queue starves"
        )
    return made


def pool_name(queues: Sequence[QueueTable], app: str) -> str:
    """The default of --name: the first app at the first queue, and how many queues more."""
    first = queues[0]
    more = f"+{len(queues) - 1}" if len(queues) > 1 else ""
    return f"{short_name(first.app or app)}@{first.name}{more}"


def settings_of(
    table: QueueTable, given: Given, name: str, app: str
) -> tuple[Settings, dict[str, str]]:
    """All options as they are for one queue of the pool `name`, and where each value came from.

    Raises SettingsError.
    """
    values = {**given.values, **table.options, "queue": table.queue, "name": name}
    origins = {**given.origins, **dict.fromkeys(table.options, f"[[queue]] {table.name}")}
    try:
        make_consistent(values, origins, table.app or app, may_resize=given.may_resize)
    except SettingsError as error:
        raise _about(table, error) from None
    return Settings(**values), origins


def _about(table: QueueTable, error: SettingsError | str) -> SettingsError:
    """What is wrong; where the queue has options of its own, with its name."""
    return SettingsError(f"queue {table.name}: {error}" if table.options else f"{error}")


def _config_of(table: QueueTable, given: Given, name: str, app: str) -> QueueConfig:
    job = table.app or app
    if not job:
        raise SettingsError(NO_APP_OF.format(table.name))
    chosen, _ = settings_of(table, given, name, app)
    if conflict := find_body_conflict(chosen):
        raise _about(table, conflict)
    config: Config = config_of(chosen)
    limit = {} if table.limit is None else {"limit": float(table.limit)}
    return QueueConfig(table.queue, job, config, table.weight, **limit)
