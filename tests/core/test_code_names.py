"""How code is named, and that what is proposed instead of a bad name is a good one."""

import pytest

from fleet.core.code_names import explain_malformed, is_code, short_name

GOOD = [
    "app:job",
    "a.b.c:job",
    "app:Class.method",
    "über:job",
    "path/file.py:job",
    "./my-app.py:job",
    "/a b/c.py:x.y",
    "app.py:job",
]
BAD = {
    "my-app:job": "my-app.py:job",
    "1app:job": "1app.py:job",
    "a/b.py": "a/b.py:job",
    "a/b:job": "a/b.py:job",
    "app": "app:job",
    "app.py": "app.py:job",
    "app:": "app:job",
    "app:2": "app:job",
    "app:a-b": "app:job",
    ":job": "app:job",
    "": "app:job",
    "a b:job": "a b.py:job",
    "app::job": "app:job",
    "a..b:job": "a..b.py:job",
    "dir/": "dir.py:job",
    "x\0y:job": "app:job",
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_accepted(name: str) -> None:
    assert is_code(name)
    assert explain_malformed(name) is None


@pytest.mark.parametrize(("name", "instead"), BAD.items())
def test_what_is_proposed_is_accepted(name: str, instead: str) -> None:
    assert not is_code(name)
    said = explain_malformed(name)
    assert said is not None
    assert said.endswith(
        f"it must be module:attribute or path/file.py:attribute, for instance {instead}"
    )
    assert is_code(instead)


def test_a_pools_name_has_no_path() -> None:
    assert short_name("a/b/my-app.py:job") == "my-app.py:job"
    assert short_name("a.b:job") == "a.b:job"
