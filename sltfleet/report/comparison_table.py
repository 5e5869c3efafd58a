"""Several runs side by side: how busy their workers were, a column per run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tabulate import tabulate

from sltfleet.core.summary import RunSummary
from sltfleet.core.utilization import ELAPSED
from sltfleet.report.sanitize import visible
from sltfleet.report.terminal import style
from sltfleet.report.text import count, duration, of, percent
from sltfleet.results.model import RunReport

#: Each metric's name, and how its value is shown.
_METRICS: tuple[tuple[str, Callable[[RunSummary], str]], ...] = (
    ("hosts", lambda run: count(run.hosts)),
    ("workers", lambda run: count(run.workers)),
    ("budget", lambda run: duration(run.budget_s)),
    ("active workers, mean", lambda run: f"{run.active_mean:.1f} of {count(run.workers)}"),
    ("worker occupancy", lambda run: percent(run.occupancy) + (" (elapsed)" if run.basis == ELAPSED else "")),
    ("host CPU, while sampled", lambda run: percent(_share(run.cpu_mean_percent))),
    ("tests' CPU, over the budget", lambda run: percent(_share(run.tests_cpu_percent))),
    ("runtime per worker, median", lambda run: duration(run.lifetime_median_s)),
    ("runtime per worker, shortest", lambda run: duration(run.lifetime_min_s)),
    ("units per worker, distinct", lambda run: f"{run.units_per_worker:.1f}"),
    ("cases per worker", lambda run: count(round(run.cases_per_worker, 1))),
    ("attempts", lambda run: count(run.attempts)),
    ("verdicts per worker and hour", lambda run: count(round(run.verdicts_per_worker_hour))),
    ("complete passes", lambda run: _range(run.passes_min, run.passes_max)),
    ("units covered", lambda run: of(run.units_covered, run.units_total)),
    ("distinct cases covered", lambda run: count(run.cases_covered)),
    ("first pass complete after", lambda run: duration(run.first_pass_s)),
)


def comparison_table(reports: Sequence[RunReport]) -> str:
    """Return the table of two or more runs, in the order given."""
    headers = ["", *(_label(report) for report in reports)]
    rows = [[name, *(show(report.summary) for report in reports)] for name, show in _METRICS]
    align = ["left", *["right"] * len(reports)]
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=align)


def _label(report: RunReport) -> str:
    kind = "once" if report.once else "looping"
    return f"{style(visible(report.run_id), bold=True)}\n{visible(report.suite, limit=24)}, {kind}"


def _share(percentage: float | None) -> float | None:
    return None if percentage is None else percentage / 100


def _range(least: int, most: int) -> str:
    return count(least) if least == most else f"{count(least)} to {count(most)}"
