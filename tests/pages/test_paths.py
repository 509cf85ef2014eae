"""What the pages cite exists: files, decisions, headings. The long pages keep their size."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pool import REPOSITORY

DECISIONS = REPOSITORY / "docs" / "decisions"
HEADINGS = ["Context", "Decision", "Rejected", "Cost"]
LONGEST = {"docs/architecture.md": 150, "CONTRIBUTING.md": 200}  # lines
WIDEST = 100  # characters, of what can be broken
PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in [
        REPOSITORY / "README.md",
        REPOSITORY / "CONTRIBUTING.md",
        REPOSITORY / "CHANGELOG.md",
        *REPOSITORY.glob("docs/**/*.md"),
    ]
)
# What follows one of these names is a path of the repository; `/srv/work/docs/…` is not.
CITED = re.compile(
    r"(?<![\w./~-])((?:fleet|core|docs|scripts|tests|bench|examples|\.ci|\.github)/[\w./-]*\w)"
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def anchors(page: str) -> set[str]:
    """The headings of a page as a link names them."""
    headings = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def exists(cited: str) -> bool:
    """Whether the file, or the folder, is there; a decision may be cited by its number alone."""
    return any([*root.glob(cited)] for root in (REPOSITORY, REPOSITORY / "fleet")) or (
        cited.startswith("docs/decisions/") and any(REPOSITORY.glob(f"{cited}-*.md"))
    )


def code() -> Iterator[tuple[str, str]]:
    """The files that may cite a decision, and what is in them."""
    for folder in ("fleet", "tests", "bench", "examples", "scripts", ".ci"):
        for path in (REPOSITORY / folder).rglob("*"):
            if path.suffix in ("", ".py") and path.is_file():
                yield str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_cites_exist(page: str) -> None:
    assert [cited for cited in CITED.findall(text(page)) if not exists(cited)] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for link in LINK.findall(text(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(str(target)), link


@pytest.mark.parametrize("page", PAGES)
def test_the_lines_of_a_page_fit(page: str) -> None:
    wide = [
        line
        for line in text(page).splitlines()
        if len(line) > WIDEST and not line.startswith("|") and "://" not in line
    ]
    assert wide == []


@pytest.mark.parametrize(("page", "lines"), LONGEST.items())
def test_the_overviews_stay_short(page: str, lines: int) -> None:
    assert len(text(page).splitlines()) <= lines


@pytest.mark.parametrize("path", sorted(DECISIONS.glob("0*.md")), ids=lambda path: path.stem)
def test_a_decision_has_its_four_parts(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f"# {path.name[:4]}. ")
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == HEADINGS


def test_the_decisions_are_numbered_without_gaps_and_all_in_the_index() -> None:
    names = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert re.findall(r"\]\((\d{4}-.*?\.md)\)", text("docs/decisions/README.md")) == names


def test_the_decisions_that_are_cited_exist() -> None:
    known = {path.name[:4] for path in DECISIONS.glob("0*.md")}
    cited = {
        (name, number)
        for name, content in code()
        for number in re.findall(r"docs/decisions/(\d{4})", content)
    }
    for page in PAGES:
        found = re.findall(r"\(.*?(?<![\d.])\b(0\d{3})\)", text(page))  # not a figure's digits
        cited |= {(page, number) for number in found}
    assert [(name, number) for name, number in cited if number not in known] == []


def test_nothing_cites_the_page_that_the_decisions_replaced() -> None:
    gone = "DESIGN" + ".md"
    assert [name for name, content in code() if gone in content] == []
    assert [page for page in PAGES if gone in text(page)] == ["CHANGELOG.md"]  # what replaced it
