"""Births and deaths of dispatchers and helpers. Part of `pool.py`'s machine."""

from dataclasses import replace

from fleet.core.exit_codes import APP_UNUSABLE, DONE, FAULT, HOST_SHORT, UNSTABLE
from fleet.core.pool import recovery, restarts, scarcity
from fleet.core.pool import slot as pool_slot
from fleet.core.pool.effects import Log, Step
from fleet.core.pool.events import Died
from fleet.core.pool.scarcity import Spawning
from fleet.core.pool.shutdown import stop
from fleet.core.pool.slot import Slot, State
from fleet.core.pool.state import (
    HelperState,
    Level,
    Pool,
    PoolEnd,
    PoolPhase,
    Role,
    living,
    with_helper,
    with_slot,
)

SCOUT_TRIES = 5  # deaths of a scout that never found the queue usable


def spawned(pool: Pool, slot: Slot, pid: int, now: float) -> Step:
    """The template has named the slot's dispatcher."""
    born = replace(pool_slot.change_state(slot, State.BOOTING, now), born=now)
    log = Log("dispatcher.spawned", {"slot": slot.number, "pid": pid})
    return with_slot(replace(pool, spawning=Spawning()), born), (log,)


def not_spawned(pool: Pool, who: str, why: str, now: float, jitter: float) -> Step:
    """The host had nothing to give to a new process: nobody's crash, and everybody waits a while."""
    after = scarcity.note_failure(pool.spawning, now, jitter)
    if after is pool.spawning:
        return pool, ()
    fields = {"who": who, "why": why, "retry_in": round(after.not_before - now, 3)}
    return replace(pool, spawning=after), (Log("spawn.failed", fields),)


def fail_spawn(pool: Pool, slot: Slot, why: str, now: float, jitter: float) -> Step:
    """There is no dispatcher for the slot: the host had no process, memory or descriptor for it."""
    pool = with_slot(pool, pool_slot.vacate(slot, now))
    return not_spawned(pool, f"dispatcher of slot {slot.number}", why, now, jitter)


def died(pool: Pool, slot: Slot, death: Died, now: float, jitter: float) -> Step:
    """A dispatcher is gone. Exit 0 is how one leaves; it does so by itself only when it was told
    to.
    """
    pool, effects = recovery.recover_from_death(pool, slot, death, now)
    if death.exit.code == DONE:
        return with_slot(pool, pool_slot.vacate(replace(slot, crashes=0), now)), effects
    if death.exit.code == HOST_SHORT:
        who = f"dispatcher of slot {slot.number}"
        pool, more = not_spawned(
            with_slot(pool, pool_slot.vacate(slot, now)), who, "it could not go on", now, jitter
        )
        return pool, (*effects, *more)
    deaths = pool.counts.dispatcher_deaths + 1
    pool = replace(pool, counts=replace(pool.counts, dispatcher_deaths=deaths))
    if pool.level is Level.KILL and slot.killed:
        return with_slot(pool, pool_slot.vacate(slot, now)), effects
    pool, more = crashed(pool, slot, death, now, jitter)
    return pool, (*effects, *more)


def crashed(pool: Pool, slot: Slot, death: Died, now: float, jitter: float) -> Step:
    """The slot's dispatcher ended without leave."""
    crashes = 1 if now - slot.born >= restarts.STABLE else slot.crashes + 1
    wait = restarts.delay(crashes, jitter)
    vacant = replace(
        pool_slot.vacate(slot, now), crashes=crashes, not_before=now + wait, deaths=slot.deaths + 1
    )
    recent = restarts.note_crash(pool.restarts, now, death.cause)
    pool = replace(with_slot(pool, vacant), restarts=recent)
    fields = {
        "slot": slot.number,
        "pid": death.pid,
        "cause": death.cause,
        "state": slot.state.name.lower(),
    }
    log = Log("dispatcher.died", fields | {"respawn_in": round(wait, 3)})
    if pool.phase is PoolPhase.DRAINING or not restarts.is_hopeless(pool.restarts, pool.desired):
        return pool, (log,)
    why = f"the pool cannot keep its dispatchers alive: {restarts.causes(pool.restarts)} within a minute"
    pool, effects = stop(pool, Level.DRAIN, PoolEnd(UNSTABLE, why), now)
    return pool, (log, *effects)


def helper_died(pool: Pool, role: Role, cause: str, now: float, jitter: float) -> Step:
    """A helper is started again; but an app that never loaded is the end, and so is a scout that
    never worked.
    """
    old = living(pool, role)
    if role is Role.SCOUT and old.killed:
        cause = f"{cause}: it said nothing any more"
    crashes = old.crashes + 1
    wait = restarts.delay(crashes, jitter)
    if (
        old.proven and not old.refused
    ):  # somebody kills it, and it will do as before when that is over
        wait = min(wait, restarts.DELAY_PROVEN)
    pool = with_helper(
        pool, role, HelperState(proven=old.proven, crashes=crashes, not_before=now + wait)
    )
    if role is Role.SCOUT:
        pool = recovery.lose_scout(pool)
    if pool.end is not None and not old.ready:
        return pool, ()
    log = Log("helper.died", {"role": role.value, "cause": cause})
    if role is Role.TEMPLATE:
        for slot in pool.slots:
            if slot.state is State.SPAWNING:  # its request died with the template
                pool = with_slot(pool, pool_slot.vacate(slot, now))
    if old.proven or pool.end is not None:
        return pool, (log,)
    if role is Role.TEMPLATE:
        how = _not_loaded(pool, cause, killed=old.killed)
        pool, effects = stop(pool, Level.DRAIN, PoolEnd(APP_UNUSABLE, f"the app {how}"), now)
        return pool, (log, *effects)
    if crashes >= SCOUT_TRIES:
        pool, effects = stop(
            pool, Level.DRAIN, PoolEnd(FAULT, f"the scout cannot be kept alive: {cause}"), now
        )
        return pool, (log, *effects)
    return pool, (log,)


def _not_loaded(pool: Pool, cause: str, *, killed: bool) -> str:
    """What became of the first import, for people."""
    if killed:
        limit = f"{pool.config.boot_timeout:g} s (--boot-timeout)"
        return f"was not imported within {limit}: fleet has killed it, and process.stack in the log says where it was"
    if cause.startswith("exit"):
        how = "by os._exit, or by a fork whose parent leaves, as a daemon does"
        return f"ended its process while it was imported ({cause}): {how}"
    return f"died while it was imported: {cause}"
