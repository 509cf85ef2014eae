"""scripts/mutate: put small faults into modules, one at a time, and tell which no test sees.

A module of the core, or one that is tested like it, is changed in memory: every fault gets a forked
process of its own that runs the module's tests. What runs in the pool's processes is changed in a
copy of the tree, and the tests of the whole program run there. Where there are both, the second see
only what the first have not seen. A fault that makes a test run for ever ends with its processor
time, and is seen.
"""

import argparse
import ast
import importlib
import importlib.abc
import importlib.machinery
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.mutants.faults import Fault, Members, faults

ROOT = Path(__file__).parents[2]
CPU = 60  # seconds that the tests of one fault may use
DELIVERY = (
    "test_outcomes",
    "delivery/test_delivery",
    "delivery/test_lease",
    "delivery/test_settling",
    "delivery/test_interrupt",
)
POOL = (
    *("pool/test_recovery", "pool/test_orphan", "pool/test_liveness", "pool/test_lifecycle"),
    "pool/test_queue_state",
)


def core(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/core/{name}.py" for name in names)


def library(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/library/{name}.py" for name in names)


IN_MEMORY: dict[str, tuple[str, ...]] = {
    "core.outcomes": core(*DELIVERY, "delivery/test_model"),
    "core.delivery.machine": core(*DELIVERY, "delivery/test_model"),
    "core.delivery.state": core(*DELIVERY, "delivery/test_model"),
    "core.delivery.interrupt": core("delivery/test_interrupt", *DELIVERY, "delivery/test_model"),
    "core.delivery.lease": core("delivery/test_lease", *DELIVERY, "delivery/test_model"),
    "core.delivery.settling": core("delivery/test_settling", *DELIVERY, "delivery/test_model"),
    "core.delivery.retries": core(
        "delivery/test_settling", *DELIVERY, "delivery/test_failure_hook", "delivery/test_model"
    ),
    "core.delivery.failure_hook": core("delivery/test_failure_hook", *DELIVERY),
    "core.delivery.arrival": core("delivery/test_arrival", *DELIVERY, "delivery/test_model"),
    "core.delivery.deadlines": core(*DELIVERY, "delivery/test_model"),
    "core.delivery.batch": core("delivery/test_batch"),
    "core.pool.children": core("pool/test_children", "pool/test_model"),
    "core.pool.births": core("pool/test_children", "pool/test_model"),
    "core.pool.reaping": core("pool/test_children", "pool/test_model"),
    "core.pool.recovery": core(*POOL, "pool/test_model"),
    "core.pool.orphan": core("pool/test_orphan", *POOL, "pool/test_model"),
    "core.pool.liveness": core("pool/test_liveness", "pool/test_scout_liveness", "pool/test_model"),
    "core.pool.receive_size": core("pool/test_receive_size", "pool/test_bursts", "pool/test_model"),
    "core.arguments": core("test_arguments"),
    "core.dispatch_result": core("test_dispatch_result"),
    "core.polling": core("test_polling", "pool/test_grants", "pool/test_model"),
    "core.poll_cuts": core("test_poll_cuts", "pool/test_grants"),
    "core.key_renewal": core("test_key_renewal"),
    "core.scheduling.choice": core("scheduling/test_choice", "scheduling/test_model"),
    "core.scheduling.evidence": core("scheduling/test_choice", "scheduling/test_model"),
    "core.scheduling.shares": core("scheduling/test_choice", "scheduling/test_model"),
    "core.backoff": core("test_backoff", "test_polling", *DELIVERY),
    "core.dead_letter": ("tests/core/test_dead_letter.py",),
    "system.cgroup": ("tests/system/test_cgroup.py",),
    "system.memory": ("tests/system/test_memory.py",),
    "ipc.shared_page": ("tests/ipc/test_shared_page.py",),
    "scout.recovery": ("tests/scout/test_recovery.py",),
    "dispatcher.runner": ("tests/dispatcher",),
    "dispatcher.requests": ("tests/dispatcher",),
    "dispatcher.user_processes": ("tests/dispatcher",),
    "dispatcher.process": ("tests/dispatcher",),
    "dispatcher.batch": ("tests/dispatcher",),
    "dispatcher.delivery_log": ("tests/dispatcher",),
    "dispatcher.returned": ("tests/dispatcher",),
    "job.callables": ("tests/job/test_callables.py",),
    "job.errors": ("tests/job/test_errors.py",),
}
IN_PROCESSES: dict[str, tuple[str, ...]] = dict.fromkeys(
    (
        "dispatcher.runner",
        "dispatcher.requests",
        "dispatcher.user_processes",
        "dispatcher.process",
        "dispatcher.batch",
        "dispatcher.delivery_log",
        "dispatcher.job_process",
        "job.process",
    ),
    (
        "tests/pool/settling",
        "tests/pool/test_job_ends.py",
        "tests/pool/test_lease.py",
        "tests/pool/test_drain.py",
    ),
) | {
    "library.calls": library("test_arguments", "test_call_sites"),
    "library.checks": library("test_arguments"),
    "library.receiver": library("test_receiver", "test_endings"),
    "library.borrowed_signals": library("test_borrowed_signals"),
    "library.dispatcher": library(
        "test_arguments", "test_endings", "test_receiver", "test_borrowed_signals"
    ),
    "library.results": library("test_endings"),
    "library.standalone": library("test_standalone", "test_borrowed_signals"),
    "library.shim": library("test_shim", "test_endings", "test_borrowed_signals"),
    "library.shim_process": library("test_shim", "test_borrowed_signals"),
}


@dataclass(frozen=True)
class Tally:
    """What came of a module's faults."""

    module: str
    tried: int
    known: int
    survivors: Sequence[Fault]

    def __str__(self) -> str:
        killed = self.tried - len(self.survivors)
        counts = f"{self.known} faults, {self.tried} tried, {killed} seen"
        return f"{self.module}: {counts}, {len(self.survivors)} not"


def main() -> int:
    """Returns 1 if a fault was not seen."""
    options = arguments()
    os.environ["FLEET_HYPOTHESIS"] = "mutants"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    importlib.import_module("pytest")
    importlib.import_module("hypothesis.stateful")
    tallies = [tally(module, options) for module in options.module or IN_MEMORY]
    print("\n".join(str(each) for each in tallies))
    return int(any(each.survivors for each in tallies))


def arguments() -> argparse.Namespace:
    known = sorted({*IN_MEMORY, *IN_PROCESSES})
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--module",
        action="append",
        choices=known,
        help="may be repeated; without it: all in memory",
    )
    parser.add_argument("--sample", type=int, metavar="N", help="only so many of a module's faults")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument(
        "--fast", action="store_true", help="without the tests of the whole program"
    )
    parser.add_argument("--list", action="store_true", help="name the faults, and try none")
    return parser.parse_args()


def tally(module: str, options: argparse.Namespace) -> Tally:
    path = ROOT / "fleet" / f"{module.replace('.', '/')}.py"
    source = path.read_text()
    found = list(faults(source, enum_members()))
    chosen = found
    if options.sample is not None and options.sample < len(found):
        picked = set(random.Random(options.seed).sample(range(len(found)), options.sample))
        chosen = [fault for number, fault in enumerate(found) if number in picked]
    none = Fault(0, "", "", ast.parse(source))
    if not options.list and any(look(module, none) for look in looks(module, options.fast)):
        raise SystemExit(f"the tests of {module} fail without any fault")
    survivors = []
    for fault in chosen:
        if options.list:
            print(f"{path.relative_to(ROOT)}:{fault}")
        elif not any(look(module, fault) for look in looks(module, options.fast)):
            survivors.append(fault)
            print(f"{path.relative_to(ROOT)}:{fault}", flush=True)
    return Tally(module, 0 if options.list else len(chosen), len(found), survivors)


def looks(module: str, fast: bool) -> list[Callable[[str, Fault], bool]]:
    """What tells whether a test fails, the quicker one first."""
    in_memory, in_processes = module in IN_MEMORY, module in IN_PROCESSES
    slow = in_processes and not (fast and in_memory)
    return [*([seen_in_memory] if in_memory else []), *([seen_in_processes] if slow else [])]


def enum_members() -> Members:
    """The members of every enum of the core, by its name.

    They are read in a process that imports the enums, so that this one does not.
    """
    code = (
        "import enum, pkgutil, importlib, fleet.core as core\n"
        "for each in pkgutil.walk_packages(core.__path__, 'fleet.core.'):\n"
        "    for name, found in vars(importlib.import_module(each.name)).items():\n"
        "        if isinstance(found, type) and issubclass(found, enum.Enum) and list(found):\n"
        "            print(name, *found.__members__)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return {name: members for name, *members in map(str.split, told.splitlines())}


# In memory.


class Loader(importlib.abc.Loader):
    """Loads the changed module in place of the real one."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        self._path, self._tree = path, tree

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)  # noqa: S102


class Finder(importlib.abc.MetaPathFinder):
    """Finds it."""

    def __init__(self, name: str, loader: Loader) -> None:
        self._name, self._loader = name, loader

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Only that one."""
        return (
            importlib.machinery.ModuleSpec(fullname, self._loader)
            if fullname == self._name
            else None
        )


def seen_in_memory(module: str, fault: Fault) -> bool:
    """Whether a test fails in a forked process that has the fault."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = tested(module, fault)
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] != 0


def tested(module: str, fault: Fault) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    sys.path.insert(0, str(ROOT))
    path = ROOT / "fleet" / f"{module.replace('.', '/')}.py"
    sys.meta_path.insert(0, Finder(f"fleet.{module}", Loader(path, fault.tree)))
    import pytest

    # Hypothesis was imported before, once for all.
    quiet = (
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    )
    command = [
        "-x",
        "-q",
        *quiet,
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--rootdir",
        str(ROOT),
    ]
    return int(pytest.main([*command, *(str(ROOT / each) for each in IN_MEMORY[module])]))


# In processes.


def seen_in_processes(module: str, fault: Fault) -> bool:
    """Whether a test fails in a copy of the tree that has the fault."""
    with tempfile.TemporaryDirectory(prefix="fleet-mutant-") as directory:
        copy = Path(directory)
        for name in ("fleet", "tests", "examples"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / "fleet" / f"{module.replace('.', '/')}.py").write_text(ast.unparse(fault.tree))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-n",
            "2",
            "-p",
            "no:cacheprovider",
            *IN_PROCESSES[module],
        ]
        run = subprocess.Popen(
            command, cwd=copy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return run.wait() != 0
        finally:
            if run.poll() is None:
                run.send_signal(signal.SIGTERM)
                run.wait()


if __name__ == "__main__":
    sys.exit(main())
