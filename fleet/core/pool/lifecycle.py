"""Births and deaths of dispatchers and helpers. Part of the machine in `machine.py`."""

from fleet.core.exit_codes import APP_UNUSABLE, DONE, FAULT, HOST_SHORT, UNSTABLE
from fleet.core.pool import recovery, recovery_orders, restarts, scarcity
from fleet.core.pool.effects import Log, Step
from fleet.core.pool.events import Died
from fleet.core.pool.scarcity import Spawning
from fleet.core.pool.shutdown import stop
from fleet.core.pool.slot import Slot, change_state, vacate
from fleet.core.pool.state import (
    HelperState,
    Level,
    Pool,
    PoolEnd,
    PoolPhase,
    Role,
    living_helper,
    with_helper,
    with_slot,
    with_slots,
)
from fleet.core.records import replace
from fleet.core.slot_state import State

SCOUT_TRIES = 5  # deaths of a scout that never found the queue usable


def note_spawn(pool: Pool, slot: Slot, pid: int, now: float) -> Step:
    """The template has named the slot's dispatcher."""
    born = replace(change_state(slot, State.BOOTING, now), born=now)
    log = Log("dispatcher.spawned", {"slot": slot.number, "pid": pid})
    return with_slot(replace(pool, spawning=Spawning()), born), (log,)


def fail_spawn(pool: Pool, slot: Slot, why: str, now: float, jitter: float) -> Step:
    """There is no dispatcher for the slot: the host had no process, memory or descriptor for it."""
    pool = with_slot(pool, vacate(slot, now))
    return _delay_spawns(pool, f"dispatcher of slot {slot.number}", why, now, jitter)


def fail_helper_spawn(pool: Pool, role: Role, why: str, now: float, jitter: float) -> Step:
    """There is no helper, for the same reasons. Raises IllegalEvent when none was asked for."""
    old = living_helper(pool, role)
    pool = with_helper(pool, role, HelperState(proven=old.proven, crashes=old.crashes))
    return _delay_spawns(pool, role.value, why, now, jitter)


def _delay_spawns(pool: Pool, who: str, why: str, now: float, jitter: float) -> Step:
    """The host had nothing to give to a new process: no crash of ours, and every spawn waits."""
    after = scarcity.note_failure(pool.spawning, now, jitter)
    if after is pool.spawning:
        return pool, ()
    fields = {"who": who, "why": why, "retry_in": round(after.not_before - now, 3)}
    return replace(pool, spawning=after), (Log("spawn.failed", fields),)


def note_death(pool: Pool, slot: Slot, death: Died, now: float, jitter: float) -> Step:
    """A dispatcher is gone: its messages are recovered, its slot is vacant.

    Exit 0 is how a dispatcher leaves; it does so by itself only when it was told to.
    """
    pool, effects = recovery.recover_from_death(pool, slot, death, now)
    if death.exit.code == DONE:
        return with_slot(pool, vacate(replace(slot, crashes=0), now)), effects
    if death.exit.code == HOST_SHORT:
        pool, more = fail_spawn(pool, slot, "it could not go on", now, jitter)
        return pool, (*effects, *more)
    pool = replace(pool, dispatcher_deaths=pool.dispatcher_deaths + 1)
    if pool.level is Level.KILL and slot.killed:
        return with_slot(pool, vacate(slot, now)), effects
    pool, more = _note_crash(pool, slot, death, now, jitter)
    return pool, (*effects, *more)


def _note_crash(pool: Pool, slot: Slot, death: Died, now: float, jitter: float) -> Step:
    """The slot's dispatcher ended without leave. Too many crashes in a minute end the pool."""
    crashes = 1 if now - slot.born >= restarts.STABLE else slot.crashes + 1
    wait = restarts.delay(crashes, jitter)
    vacant = replace(
        vacate(slot, now), crashes=crashes, not_before=now + wait, deaths=slot.deaths + 1
    )
    recent = restarts.note_crash(pool.restarts, now, death.cause)
    pool = replace(with_slot(pool, vacant), restarts=recent)
    fields = {
        "slot": slot.number,
        "pid": death.pid,
        "cause": death.cause,
        "state": slot.state.name.lower(),
        "respawn_in": round(wait, 3),
    }
    log = Log("dispatcher.died", fields)
    if pool.phase is PoolPhase.DRAINING or not restarts.is_hopeless(recent, pool.desired):
        return pool, (log,)
    causes = restarts.causes(recent)
    why = f"the pool cannot keep its dispatchers alive: {causes} within a minute"
    pool, effects = stop(pool, Level.DRAIN, PoolEnd(UNSTABLE, why), now)
    return pool, (log, *effects)


def note_helper_death(pool: Pool, role: Role, cause: str, now: float, jitter: float) -> Step:
    """A helper is gone, and is started again after a pause.

    But an app that never loaded ends the pool, and so does a scout that never worked.
    """
    old = living_helper(pool, role)
    if role is Role.SCOUT and old.killed:
        cause = f"{cause}: it said nothing any more"
    pool = _lose_helper(pool, role, old, now, jitter)
    if pool.end is not None and not old.ready:
        return pool, ()
    log = Log("helper.died", {"role": role.value, "cause": cause})
    if role is Role.TEMPLATE:  # what it was asked for died with it
        spawning = [slot for slot in pool.slots if slot.state is State.SPAWNING]
        pool = with_slots(pool, [vacate(slot, now) for slot in spawning])
    if old.proven or pool.end is not None:
        return pool, (log,)
    if role is Role.TEMPLATE:
        end = PoolEnd(APP_UNUSABLE, f"the app {_why_not_loaded(pool, cause, killed=old.killed)}")
    elif old.crashes + 1 >= SCOUT_TRIES:
        end = PoolEnd(FAULT, f"the scout cannot be kept alive: {cause}")
    else:
        return pool, (log,)
    pool, effects = stop(pool, Level.DRAIN, end, now)
    return pool, (log, *effects)


def _lose_helper(pool: Pool, role: Role, old: HelperState, now: float, jitter: float) -> Pool:
    """The helper's record after its death, with the moment from which on it may be replaced."""
    crashes = old.crashes + 1
    wait = restarts.delay(crashes, jitter)
    if old.proven and not old.refused:
        # Somebody kills it, and it will do as before when that is over.
        wait = min(wait, restarts.DELAY_PROVEN)
    dead = HelperState(proven=old.proven, crashes=crashes, not_before=now + wait)
    pool = with_helper(pool, role, dead)
    return recovery_orders.lose_scout(pool) if role is Role.SCOUT else pool


def _why_not_loaded(pool: Pool, cause: str, *, killed: bool) -> str:
    """What became of the first import, for people."""
    if killed:
        limit = f"{pool.config.boot_timeout:g} s (--boot-timeout)"
        where = "process.stack in the log says where it was"
        return f"was not imported within {limit}: fleet has killed it, and {where}"
    if cause.startswith("exit"):
        how = "by os._exit, or by a fork whose parent leaves, as a daemon does"
        return f"ended its process while it was imported ({cause}): {how}"
    return f"died while it was imported: {cause}"
