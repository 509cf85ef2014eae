"""No rule of the pool takes an option that is about messages from the pool's own options.

Each queue has its own, `queue.config`; see fleet/core/pool/queue_state.py.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet.core.pool
from fleet.core.config import Config
from fleet.core.queue_config import OF_A_QUEUE

FILES = sorted(Path(fleet.core.pool.__file__).parent.glob("*.py"))


class NotAPools(Exception):
    """An option of a queue was read."""


class PoolsOnly(Config):
    """Options without those of a queue."""

    def __getattribute__(self, name: str) -> Any:
        if name in OF_A_QUEUE:
            raise NotAPools(name)
        return super().__getattribute__(name)


def is_of_a_queue(name: str) -> bool:
    """Whether an option, or what follows from options, is of a queue."""
    try:
        value = getattr(PoolsOnly(), name)
        if callable(value):
            value(1.0)
    except NotAPools:
        return True
    return False


NAMES = {name for name in dir(Config) if not name.startswith("_") and is_of_a_queue(name)}


def aliases(tree: ast.AST) -> set[str]:
    """Names that stand for the pool's options."""
    return {
        ast.unparse(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == "pool.config"
        for target in node.targets
    }


def misread(source: str, *, in_state: bool = False) -> Iterator[str]:
    """What is read from the wrong options."""
    tree = ast.parse(source)
    pools = {"pool.config"} | aliases(tree) | ({"self.config"} if in_state else set())
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for node in read:
        if node.attr in NAMES and ast.unparse(node.value) in pools:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_what_follows_from_an_option_of_a_queue_is_of_a_queue() -> None:
    assert set(OF_A_QUEUE) < NAMES
    assert {"first_lease", "longest_drain", "longest_stop", "own_drain"} < NAMES
    assert NAMES.isdisjoint({"workers", "bounds", "most_workers", "sample_interval", "name"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_rule_reads_one_from_the_pools(path: Path) -> None:
    assert list(misread(path.read_text(), in_state=path.stem == "state")) == []


@pytest.mark.parametrize(
    "source",
    ["pool.config.wait_time", "config = pool.config\nx = config.first_lease + 1"],
)
def test_who_does_is_found(source: str) -> None:
    assert len(list(misread(source))) == 1
