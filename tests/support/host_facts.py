"""Facts of hosts for tests, from the recorded answers in tests/cases/probe."""

from __future__ import annotations

import json
from pathlib import Path

from sltfleet.core.facts import HostFacts
from sltfleet.core.probe import parse_probe

_CASES = Path(__file__).parents[1] / "cases" / "probe"


def recorded_facts(case: str) -> HostFacts:
    """The facts of one recorded host, e.g. "bare_debian"."""
    raw = json.loads((_CASES / f"{case}.json").read_text())
    return parse_probe("\n".join(raw["output"]) + "\n", raw["noise"], "demo")
