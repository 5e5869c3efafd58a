"""A run over all its hosts in one line of numbers: what `compare` sets side by side. The formulas are
`core.utilization`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from sltfleet.core.utilization import ELAPSED, Utilization
from sltfleet.wire.outcome import OUTCOMES


@dataclass(frozen=True)
class RunSummary:
    """A run on all its hosts together. Shares are 0 to 1, percentages 0 to 100; None: not known."""

    hosts: int
    workers: int
    budget_s: float
    #: `budget`, or `elapsed` where that is the measure on any host.
    basis: str
    occupancy: float
    active_mean: float
    #: Weighted by the hosts' cores: while it was sampled, and the tests' own share of the whole span.
    cpu_mean_percent: float | None
    tests_cpu_percent: float
    lifetime_min_s: float
    lifetime_median_s: float
    attempts: int
    attempts_per_worker: float
    verdicts_per_worker_hour: float
    cases_per_worker: float
    #: Distinct units that a worker attempted, the mean.
    units_per_worker: float
    #: The fewest complete passes of a host, and the most.
    passes_min: int
    passes_max: int
    units_total: int
    units_covered: int
    #: Distinct cases with a verdict.
    cases_covered: int
    #: When the slowest host was through with its part of the first pass; None where one was not.
    first_pass_s: float | None
    outcomes: dict[str, int]


def summarize(hosts: Sequence[Utilization], *, units_total: int, units_covered: int, cases_covered: int) -> RunSummary:
    """Return the numbers of a run; the counts of units and cases are those of all hosts together, each counted once.

    Raises ValueError where there is no host.
    """
    if not hosts:
        raise ValueError("a run has at least one host")
    workers = sum(host.workers for host in hosts)
    worker_s = sum(host.workers * host.span_s for host in hosts)
    lifetimes = [worker.lifetime_s for host in hosts for worker in host.per_worker]
    outcomes = sum((Counter(host.outcomes) for host in hosts), Counter[str]())
    first_passes = [host.first_pass_s for host in hosts if host.share_units != 0]
    verdicts = sum(host.verdicts for host in hosts)
    attempts = sum(host.attempts for host in hosts)
    return RunSummary(
        hosts=len(hosts),
        workers=workers,
        budget_s=max(host.budget_s for host in hosts),
        basis=ELAPSED if any(host.basis == ELAPSED for host in hosts) else hosts[0].basis,
        occupancy=sum(host.busy_s for host in hosts) / worker_s if worker_s > 0 else 0.0,
        active_mean=sum(host.active_mean for host in hosts),
        cpu_mean_percent=_by_cores([(host.cpu_mean_percent, host.cores) for host in hosts]),
        tests_cpu_percent=_by_cores([(host.tests_cpu_percent, host.cores) for host in hosts]) or 0.0,
        lifetime_min_s=min(lifetimes, default=0.0),
        lifetime_median_s=median(lifetimes) if lifetimes else 0.0,
        attempts=attempts,
        attempts_per_worker=attempts / workers if workers else 0.0,
        verdicts_per_worker_hour=3600.0 * verdicts / worker_s if worker_s > 0 else 0.0,
        cases_per_worker=sum(host.cases for host in hosts) / workers if workers else 0.0,
        units_per_worker=fmean(worker.units for host in hosts for worker in host.per_worker) if lifetimes else 0.0,
        passes_min=min(host.passes for host in hosts),
        passes_max=max(host.passes for host in hosts),
        units_total=units_total,
        units_covered=units_covered,
        cases_covered=cases_covered,
        first_pass_s=None if None in first_passes else max(first for first in first_passes if first is not None),
        outcomes={outcome: outcomes[outcome] for outcome in OUTCOMES if outcomes[outcome]},
    )


def _by_cores(values: Sequence[tuple[float | None, float]]) -> float | None:
    """The mean of the known values, weighted by cores."""
    known = [(value, cores) for value, cores in values if value is not None]
    total = sum(cores for _, cores in known)
    return sum(value * cores for value, cores in known) / total if total > 0 else None
