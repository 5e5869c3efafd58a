"""The page of figures says what was measured."""

from __future__ import annotations

from bench.page import PAGE, figures_block, goals_block, read_measured, render

BENCHMARK = {
    "benchmark": "dispatch",
    "machine": {"when": "2026-01-01 10:00", "load_before": 0.5, "load_after": 1.25},
    "figures": [
        {
            "name": "elapsed",
            "unit": "s",
            "ours": [2.0, 1.0, 3.0],
            "peers": {"xargs": {"values": [2.0, 2.0, 2.0], "ratio": 1.0, "median": 2.0}},
            "goals": [{"bound": 1.1, "at_least": False, "peer": "xargs", "value": 1.0, "reached": True}],
        },
        {
            "name": "passed",
            "unit": "%",
            "ours": [50.0],
            "peers": {},
            "goals": [{"bound": 100.0, "at_least": True, "peer": "", "value": 50.0, "reached": False}],
        },
    ],
}


def test_a_figure_has_a_row_per_peer_with_median_spread_and_ratio() -> None:
    block = figures_block(BENCHMARK)
    assert "3 repetitions, 2026-01-01 10:00 UTC, load 0.5 before and 1.2 after" in block
    assert "| elapsed | 2 (1 to 3) s | xargs | 2 (2 to 2) | 1.000 |" in block
    assert "| passed | 50 % |  |  |  |" in block


def test_a_goal_that_was_not_reached_is_said_to_be_so() -> None:
    block = goals_block([BENCHMARK])
    assert "| `dispatch` | elapsed | <= 1.1 x xargs | 1 | reached |" in block
    assert "| `dispatch` | passed | >= 100 % | 50 | **not reached** |" in block


def test_the_page_has_what_was_measured() -> None:
    page = PAGE.read_text()
    measured = read_measured()
    assert render(page, measured) == page, "python -m bench.page writes its tables anew"
    assert all(f"<!-- {name} -->" in page for name in (*measured, "goals"))
