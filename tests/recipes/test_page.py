"""Every recipe of the page has a test, and its links lead somewhere."""

import ast
import re
from pathlib import Path

from tests.recipes.page import PAGE, recipes

HERE = Path(__file__).parent


def test_every_snippet_is_a_recipe_and_has_a_test() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("```python") == len(recipes())
    tests = "\n".join(file.read_text(encoding="utf-8") for file in HERE.glob("test_*.py"))
    assert set(recipes()) == set(re.findall(r'start_recipe\(\s*"(\w+)"', tests))


def test_every_recipe_is_python() -> None:
    for recipe in recipes().values():
        ast.parse(recipe.text)


def test_the_table_leads_to_what_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", text, re.M)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= headings
