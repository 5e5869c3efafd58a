"""`report --format json` and `compare --format json`. The shape is stable: keys may be added, none changes its meaning.

    {"format": 1, "run", "project", "suite", "seed", "once",
     "summary": {…},                        # all hosts together: the fields of core.summary.RunSummary
     "hosts": [{"host", "started_wall_s", "build_digest", "commit", "dirty_digest", "toolchain", "cases_passed",
                "cases_failed", "unfinished", "damage", "notes": […],
                "left_behind": [{"unit", "attempts", "processes"}],  # that outlived their attempts, and were ended
                "utilization": {…}}],       # the fields of core.utilization.Utilization
     "causes": [{"signature", "message", "case", "failed", "units", "hosts": […], "first_seen_s", "cases": […]}],
     "failing": [{"case", "unit", "message", "failed", "passed", "hosts": […], "output"}],
     "flaky": [{"kind", "name", "build_digest", "passed", "failed", "hosts": […], "message", "failed_seeds": […],
                "passed_seeds": […],
                "failures": [{"run_id", "host", "attempt", "unit", "worker", "pass_number", "seed", "outcome",
                              "message", "start_s", "end_s", "neighbours": […], "output"}]}],
     "slowest": [{"unit", "median_s", "max_s", "attempts"}],
     "quarantined": [{"unit", "timeouts", "hosts": […]}],
     "shared": {"passes", "units_counted", "counted", "uncounted",      # null without a shared queue
                "hosts": [{"host", "first_pass", "counted", "uncounted"}]}}

    {"format": 1, "runs": [{"run", "project", "suite", "seed", "once", "summary"}]}    # compare

Seconds end in `_s`, bytes in `_bytes`; occupancy is 0 to 1, what ends in `_percent` is 0 to 100; null is "not known".
Texts are as hosts and tests wrote them: JSON's own escapes keep them harmless, as long as they are written in ASCII.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sltfleet.results.model import HostRun, RunReport

#: Grows when a key changes its meaning or goes.
REPORT_FORMAT = 1

_DIGITS = 6


def run_json(report: RunReport) -> dict[str, object]:
    """Return the JSON value of one run's report."""
    return {
        "format": REPORT_FORMAT,
        **_head(report),
        "hosts": [_host(run) for run in report.hosts],
        "causes": [_rounded(asdict(cause)) for cause in report.causes],
        "failing": [asdict(case) for case in report.failing],
        "flaky": [_rounded(asdict(found)) for found in report.flaky],
        "slowest": [_rounded(asdict(unit)) for unit in report.slowest],
        "quarantined": [asdict(unit) for unit in report.quarantined],
        "shared": asdict(report.shared) if report.shared else None,
    }


def comparison_json(reports: Sequence[RunReport]) -> dict[str, object]:
    """Return the JSON value of a comparison."""
    return {"format": REPORT_FORMAT, "runs": [_head(report) for report in reports]}


def _head(report: RunReport) -> dict[str, object]:
    return {
        "run": report.run_id,
        "project": report.project,
        "suite": report.suite,
        "seed": report.seed,
        "once": report.once,
        "summary": _rounded(asdict(report.summary)),
    }


def _host(run: HostRun) -> dict[str, object]:
    value: dict[str, object] = asdict(run)
    value["started_wall_s"] = value.pop("wall_s")
    value["utilization"] = _rounded(asdict(run.utilization))
    return value


def _rounded(value: object) -> object:
    """The value with its floats rounded to a microsecond: more digits are noise."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(entry) for entry in value]
    return value
