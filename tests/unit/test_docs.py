"""What the documents name is there: tests, files, decisions, messages. And what is there they name: variables, keys."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from sltfleet.core.polling import RUNNING, HostStatus
from sltfleet.report.status_tables import status_json
from tests.support.states import make_state

REPO = Path(__file__).resolve().parents[2]

DOCUMENTS = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")])

#: `tests/faults/test_x.py::test_y`
TEST = re.compile(r"\b(tests/[\w/]+\.py)::(\w+)")

#: The target of a link to a file of this repository, without its anchor.
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)[^)]*\)")

#: A message that the troubleshooting page explains: `…` in the bold words that a paragraph begins with.
MESSAGE = re.compile(r"^\*\*(.*?)\*\*", re.MULTILINE)

#: In the place of what is another thing each time.
VARIES = re.compile(r"…|\bN\b|\d+")

#: A variable that a person may set or read; what begins with an underscore is sltfleet's own.
VARIABLE = re.compile(r"(?<!\w)SLTFLEET_[A-Z_]+")


def strings_of_the_code() -> str:
    """Every string of sltfleet's source, as it is when the program runs; the parts of an f-string each by itself."""
    trees = (ast.parse(path.read_text()) for path in sorted((REPO / "sltfleet").rglob("*.py")))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


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


def test_every_message_that_the_troubleshooting_page_explains_is_one_that_sltfleet_prints() -> None:
    code = strings_of_the_code()
    page = (REPO / "docs" / "troubleshooting.md").read_text()
    quoted = [quote for heading in MESSAGE.findall(page) for quote in re.findall(r"`([^`]+)`", heading)]
    assert quoted
    for quote in quoted:
        for part in VARIES.split(quote):
            assert part.strip() in code, quote


def test_every_variable_of_sltfleets_own_is_documented() -> None:
    page = (REPO / "docs" / "REMOTE_TESTING.md").read_text()
    assert set(VARIABLE.findall(strings_of_the_code())) == set(VARIABLE.findall(page))


def test_every_key_of_the_json_of_status_is_documented() -> None:
    page = (REPO / "docs" / "REMOTE_TESTING.md").read_text()
    shape = page.split("`sltfleet status --format json`:")[1].split("```")[1]
    host = json.loads(json.dumps(status_json([HostStatus("alpha", RUNNING, "run-1", make_state())])))["hosts"][0]
    keys = {*host, *host["worker_states"][0]}
    assert [key for key in sorted(keys) if f'"{key}"' not in shape] == []
