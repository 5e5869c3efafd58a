"""The table and the JSON of what `clean` would delete."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import asdict

from tabulate import tabulate

from sltfleet.core.cleaning import CleanPlan
from sltfleet.core.size import format_size
from sltfleet.report.sanitize import visible


def plan_table(plans: Mapping[str, CleanPlan]) -> str:
    """Return a row per thing that would be deleted, and the sum; `plans` is by host."""
    rows = [
        (
            visible(host),
            visible(posixpath.normpath(f"{plan.place}/{deletion.name}")),
            format_size(deletion.size_bytes),
            deletion.why,
        )
        for host, plan in plans.items()
        for deletion in plan.deletions
    ]
    if not rows:
        return "nothing to delete"
    total = sum(plan.size_bytes for plan in plans.values())
    return tabulate(
        [*rows, ("all", "", format_size(total), "")],
        headers=("host", "what", "frees", "why"),
        disable_numparse=True,
        colalign=("left", "left", "right", "left"),
    )


def plan_json(plans: Mapping[str, CleanPlan]) -> list[dict[str, object]]:
    """Return the JSON value of `clean --format json`: per host what goes and the runs that stay. Sizes are bytes."""
    return [
        {
            "host": host,
            "place": plan.place,
            "size_bytes": plan.size_bytes,
            "deletions": [asdict(deletion) for deletion in plan.deletions],
            "kept": list(plan.kept),
        }
        for host, plan in plans.items()
    ]
