"""The faces of core: a caller imports of the pool and of a delivery what the package has."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FLEET = Path(__file__).parents[2] / "fleet"
OF_THEIR_OWN = {"fleet.core.delivery.batch", "fleet.core.delivery.batch_events"}


def imports(package: str) -> Iterator[tuple[str, str]]:
    """Yield which file outside the package imports which of its modules, past its face."""
    inside = FLEET.parent / package.replace(".", "/")
    for path in sorted(FLEET.rglob("*.py")):
        if inside in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if module.startswith(f"{package}.") and module not in OF_THEIR_OWN:
                yield str(path.relative_to(FLEET)), module


@pytest.mark.parametrize("package", ["fleet.core.pool", "fleet.core.delivery"])
def test_callers_import_from_the_face(package: str) -> None:
    assert list(imports(package)) == []
