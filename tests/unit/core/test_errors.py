"""Errors say what to do next: every place that makes one is looked at, none is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import sltfleet
from sltfleet.core import errors

#: Of every error of this module, `what` and `why` come before `fix`.
FIX_POSITION = 2

NAMES = {
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.FleetError)
}


def without_next_step(path: Path) -> Iterator[str]:
    """Yield the places that make an error without a `fix`, and without problems of which each has its own hint."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in NAMES:
            continue
        keywords = {keyword.arg for keyword in node.keywords}
        if len(node.args) <= FIX_POSITION and not keywords & {"fix", "problems"}:
            yield f"{path}:{node.lineno}"


def test_every_error_says_what_to_do_next() -> None:
    package = Path(sltfleet.__file__).parent
    assert [place for path in sorted(package.rglob("*.py")) for place in without_next_step(path)] == []
