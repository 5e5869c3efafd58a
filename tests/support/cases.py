"""Reads tests/cases/<area>/<name>.json: a command, what it printed, and the value that is read from that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent.parent / "cases"


def load_cases(name: str) -> list[dict[str, Any]]:
    """Return the cases of `tests/cases/NAME.json`."""
    cases: list[dict[str, Any]] = json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))
    return cases
