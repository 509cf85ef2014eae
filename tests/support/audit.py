"""What must hold at the end of every test of a pool, whatever the test was about."""

from tests.support.pool import Event, Home, Pool

UNCONFIRMED = 8
"""Exit status: jobs have finished, and the deletes of their messages were not confirmed."""


def audit(home: Home, pools: list[Pool]) -> None:
    """Drain what still runs, and check how each pool ended: processes, status, log, ledger."""
    for pool in pools:
        if pool.process.poll() is None and not pool.terminated:
            pool.terminate()
    orderly = [pool.wait() >= 0 for pool in pools]
    if all(orderly):
        check_nothing_left(home, but="fleet: local")
    home.wait_empty()
    for pool in pools:
        pool.wait_log_end()
        status = pool.process.returncode
        late = pool.expected.unconfirmed and status == UNCONFIRMED
        assert late or status == pool.expected.exit, (
            f"exit status {status}, not {pool.expected.exit}:\n{pool.log()}"
        )
        check_log(pool)
        check_ledger(pool)


def check_nothing_left(home: Home, but: str) -> None:
    """Check that no process outlives the masters' orderly end, except with `but` in their title."""
    left = [process for process in home.processes() if but not in process.title]
    assert not left, f"left behind: {left}"


SETTLED = ("deleted", "released", "dead_lettered", "left")
ENDED = (0, 6, 7, UNCONFIRMED)  # exit statuses of a pool that ended as pools do


def check_log(pool: Pool) -> None:
    """Check that the log is whole, and tells of no error and of no SIGKILL but the expected."""
    expected = pool.expected
    assert expected.noise or not pool.noise, "no JSON on standard error:\n" + "\n".join(pool.noise)
    allowed = expected.errors | ({"start.failed"} if expected.exit not in ENDED else set())
    errors = [
        event
        for event in pool.events()
        if str(event.get("level")).lower() in ("error", "critical")
        and event.get("event") not in allowed
    ]
    assert not errors, f"logged as errors: {errors}"
    kills = [
        event
        for event in pool.events()
        if _tells_of_kill(event) and event["event"] not in expected.kills | allowed
    ]
    assert not kills, f"killed: {kills}"


def _tells_of_kill(event: Event) -> bool:
    return "SIGKILL" in str({name: value for name, value in event.items() if name != "message"})


def check_ledger(pool: Pool) -> None:
    """Check that what was received is what was settled, of each queue where there are several."""
    told = pool.events("drain.finished")
    by_queue = [each for each in told if "queue" in each]
    whole = [each for each in told if "queue" not in each]
    assert len(whole) == pool.expected.ledger, (
        f"the ledger was told {len(whole)} times:\n{pool.log()}"
    )
    for ledger in told:
        settled = sum(ledger[name] for name in SETTLED)
        assert ledger["received"] == settled, f"the ledger does not balance: {ledger}"
    if not whole:
        return
    (ledger,) = whole
    for name in ("received", *SETTLED) if by_queue else ():
        together = sum(each[name] for each in by_queue)
        assert ledger[name] == together, f"{name} is not the sum of the queues': {told}"
    heard = len(pool.events("message.received")) + pool.expected.unheard
    assert ledger["received"] == heard, f"not what the log tells: {ledger}"
