"""The tables of docs/performance.md, made from docs/performance/*.json.

`PYTHONPATH=scripts .venv/bin/python -m bench.page` writes them anew.

They stand between `<!-- NAME -->` and `<!-- /NAME -->`; `<!-- goals -->` has every goal of every benchmark. A test
holds the page to the measured values.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "performance.md"

#: The order of the table of goals.
ORDER = ("occupancy", "story", "dispatch", "makespan", "stealing", "overhead", "startup")

Measured = Mapping[str, Any]


def render(page: str, measured: Mapping[str, Measured]) -> str:
    """Return the page with its tables made anew from the JSON values of the benchmarks, by name."""
    blocks = {name: figures_block(measured[name]) for name in measured}
    blocks["goals"] = goals_block([measured[name] for name in ORDER if name in measured])
    for name, block in blocks.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page = pattern.sub(lambda found, block=block: f"{found[1]}{block}{found[2]}", page)  # type: ignore[misc]
    return page


def figures_block(benchmark: Measured) -> str:
    """Return what was measured in one benchmark: how often and when, and a row per figure and peer."""
    machine = benchmark["machine"]
    count = max(len(figure["ours"]) for figure in benchmark["figures"])
    name = benchmark["benchmark"]
    lines = [
        f"{count} repetitions, {machine['when']} UTC, load {machine['load_before']:.1f} before and "
        f"{machine['load_after']:.1f} after; every value: [performance/{name}.json](performance/{name}.json).",
        "",
        "| figure | sltfleet | peer | | ratio |",
        "|---|---|---|---|---|",
    ]
    for figure in benchmark["figures"]:
        own = f"{figure['name']} | {told(figure['ours'])} {figure['unit']}".rstrip()
        for peer, values in figure["peers"].items() or [("", None)]:
            ratio = "" if values is None or values["ratio"] is None else f"{values['ratio']:.3f}"
            lines.append(f"| {own} | {peer} | {told(values['values']) if values else ''} | {ratio} |")
            own = " | "
    return "\n".join(lines) + "\n"


def goals_block(benchmarks: Iterable[Measured]) -> str:
    """Return a row per goal: what was to be reached, what was measured, and whether that is enough."""
    lines = ["| benchmark | figure | goal | measured | |", "|---|---|---|---|---|"]
    for benchmark in benchmarks:
        for figure in benchmark["figures"]:
            for goal in figure["goals"]:
                of_peer = f" x {goal['peer']}" if goal["peer"] else f" {figure['unit']}"
                wanted = f"{'>=' if goal['at_least'] else '<='} {goal['bound']:.3g}{of_peer}"
                verdict = "reached" if goal["reached"] else "**not reached**"
                lines.append(
                    f"| `{benchmark['benchmark']}` | {figure['name']} | {wanted} | {goal['value']:.4g} | {verdict} |"
                )
    return "\n".join(lines) + "\n"


def told(values: Sequence[float]) -> str:
    """Return the median, and the smallest and the largest value where there are several."""
    spread = f" ({min(values):.4g} to {max(values):.4g})" if len(values) > 1 else ""
    return f"{statistics.median(values):.4g}{spread}"


def read_measured() -> dict[str, Measured]:
    """Return the kept JSON value of every benchmark, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((DOCS / "performance").glob("*.json"))}


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(), read_measured()))
