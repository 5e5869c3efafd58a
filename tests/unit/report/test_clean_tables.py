"""What `clean` shows before it asks."""

from __future__ import annotations

import json

from sltfleet.core.cleaning import CleanPlan, Deletion
from sltfleet.report.clean_tables import plan_json, plan_table

PLANS = {
    "alpha": CleanPlan("/x/.sltfleet/p", (Deletion("target", 3 * 1024**3, "asked for"),), ("20261123-120312-3f9a1c",)),
    "be\x1bta": CleanPlan("/y"),
}


def test_each_thing_has_a_row_and_its_size_and_all_of_them_a_sum() -> None:
    lines = plan_table(PLANS).splitlines()
    assert lines[2].split()[:2] == ["alpha", "/x/.sltfleet/p/target"]
    assert "3.0 GiB" in lines[-1]
    assert plan_table({"here": CleanPlan("/y")}) == "nothing to delete"


def test_the_json_has_what_goes_and_what_stays_by_host() -> None:
    assert json.loads(json.dumps(plan_json(PLANS))) == [
        {
            "host": "alpha",
            "place": "/x/.sltfleet/p",
            "size_bytes": 3 * 1024**3,
            "deletions": [{"name": "target", "size_bytes": 3 * 1024**3, "why": "asked for"}],
            "kept": ["20261123-120312-3f9a1c"],
        },
        {"host": "be\x1bta", "place": "/y", "size_bytes": 0, "deletions": [], "kept": []},
    ]
