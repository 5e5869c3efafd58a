"""What the documents name is there: tests, files, decisions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

DOCUMENTS = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")])

#: `tests/faults/test_x.py::test_y`
TEST = re.compile(r"\b(tests/[\w/]+\.py)::(\w+)")

#: The target of a link to a file of this repository, without its anchor.
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    for file, name in TEST.findall(document.read_text()):
        text = (REPO / file).read_text()
        assert re.search(rf"\b(def|class) {name}\b", text), f"{document.name}: {file}::{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_decision_has_a_number_of_its_own_and_a_line_in_the_index() -> None:
    pages = sorted((REPO / "docs" / "decisions").glob("0*.md"))
    numbers = [page.name[:3] for page in pages]
    assert len(set(numbers)) == len(numbers)
    index = (REPO / "docs" / "decisions" / "README.md").read_text()
    for page in pages:
        number, title = page.read_text().split("\n")[0].removeprefix("# ").split(": ", 1)
        assert page.name.startswith(number)
        assert f"| [{number}]({page.name}) | {title} |" in index, page.name
