"""How well a run kept its workers busy: from what the journal says.

With N workers and a span S, the seconds that count:

    occupancy            busy worker-seconds / (N x S)
    active workers       mean: busy worker-seconds / S; median: over time, each count weighted by how long it held
    host CPU             mean of the samples, weighted by time, over the time that was sampled
    tests' CPU           user and system time of the attempts (wait4) / (cores x S)
    runtime per worker   from its start until it left, at most the budget
    coverage             units with at least one verdict / all units (shares: `wire.coverage`)

S is the budget, also for a run that ended early of itself (`once`): the budget it did not use is the finding. S is
the elapsed time where the budget was not to be used up: a run that is still going or was lost, one that a person or
fail-fast stopped, and one that was asked for a number of passes. `basis` says which it is.

An attempt counts from its start to its end within the span. One that was `cut` kept its worker busy like any other;
one that could not be started (`infra`) did not. Two attempts of one worker at the same time are an error in the
journal: reported in `problems`, and the time counted once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean, median

from sltfleet.core.busy import Busy, Gaps, Idle, active_levels, busy_intervals, idle_time, weighted_median
from sltfleet.core.timeline import Timeline
from sltfleet.wire.coverage import Coverage
from sltfleet.wire.outcome import OUTCOMES, VERDICTS

#: Reasons for an end that make the elapsed time, not the budget, the measure.
_ELAPSED_REASONS = frozenset(("stopped", "fail-fast", "passes"))

BUDGET, ELAPSED = "budget", "elapsed"


@dataclass(frozen=True)
class WorkerUtilization:
    """One worker: `units` counts the distinct ones it attempted."""

    worker: int
    lifetime_s: float
    busy_s: float
    attempts: int
    units: int


@dataclass(frozen=True)
class Utilization:
    """One run on one host. Percentages are 0 to 100, `occupancy` is 0 to 1. None: not known."""

    workers: int
    cores: float
    budget_s: float
    elapsed_s: float
    span_s: float
    #: `budget` or `elapsed`: what `span_s` is.
    basis: str
    #: Why the run ended; None where the journal does not say: it goes on, or its runner was lost.
    reason: str | None
    busy_s: float
    occupancy: float
    active_mean: float
    active_median: int
    cpu_mean_percent: float | None
    cpu_max_percent: float | None
    sampled_s: float
    tests_cpu_percent: float
    memory_available_min_bytes: int | None
    #: CPU time of the runner itself, and its largest resident size.
    runner_cpu_s: float
    runner_rss_max_bytes: int
    units_total: int
    #: Of all units, in whatever pass; `share_units` is how many the first pass has on this host, None for all.
    units_covered: int
    share_units: int | None
    #: Complete ones.
    passes: int
    #: The makespan of the first pass: when its last unit was over.
    first_pass_s: float | None
    attempts: int
    outcomes: dict[str, int]
    #: Verdicts about cases, counted each time.
    cases: int
    #: Attempts that came to a verdict.
    verdicts: int
    verdicts_per_worker_hour: float
    idle: Idle
    gaps: Gaps
    per_worker: tuple[WorkerUtilization, ...]
    #: What is wrong with the journal itself.
    problems: tuple[str, ...] = ()

    @property
    def lifetime_min_s(self) -> float:
        """The shortest runtime of a worker."""
        return min((worker.lifetime_s for worker in self.per_worker), default=0.0)

    @property
    def lifetime_median_s(self) -> float:
        """The median runtime of the workers."""
        return median([worker.lifetime_s for worker in self.per_worker]) if self.per_worker else 0.0

    @property
    def attempts_per_worker(self) -> float:
        """The mean over the workers."""
        return self.attempts / self.workers if self.workers else 0.0

    @property
    def units_per_worker(self) -> float:
        """The mean over the workers of the distinct units each attempted."""
        return fmean(worker.units for worker in self.per_worker) if self.per_worker else 0.0


def utilization(timeline: Timeline) -> Utilization:
    """Return the numbers of one run on one host."""
    elapsed_s = timeline.last_s
    by_budget = timeline.reason is not None and timeline.reason not in _ELAPSED_REASONS
    span_s = timeline.budget_s if by_budget else min(elapsed_s, timeline.budget_s)
    busy, problems = busy_intervals(timeline, span_s)
    outcomes = Counter(attempt.outcome for attempt in timeline.finished)
    verdicts = sum(count for outcome, count in outcomes.items() if outcome in VERDICTS)
    busy_s = sum(part.end_s - part.start_s for parts in busy.values() for part in parts)
    worker_s = timeline.workers * span_s
    idle, gaps = idle_time(busy, timeline.workers, span_s)
    levels = active_levels(busy, span_s)
    core_s = timeline.cores * span_s
    return Utilization(
        workers=timeline.workers,
        cores=timeline.cores,
        budget_s=timeline.budget_s,
        elapsed_s=elapsed_s,
        span_s=span_s,
        basis=BUDGET if by_budget else ELAPSED,
        reason=timeline.reason,
        busy_s=busy_s,
        occupancy=busy_s / worker_s if worker_s > 0 else 0.0,
        active_mean=busy_s / span_s if span_s > 0 else 0.0,
        active_median=weighted_median(levels),
        cpu_mean_percent=timeline.samples.cpu_mean_percent,
        cpu_max_percent=timeline.samples.cpu_max_percent if timeline.samples.count else None,
        sampled_s=timeline.samples.sampled_s,
        tests_cpu_percent=100.0 * sum(a.cpu_s for a in timeline.finished) / core_s if core_s > 0 else 0.0,
        memory_available_min_bytes=timeline.samples.memory_min_bytes,
        runner_cpu_s=timeline.samples.runner_cpu_s,
        runner_rss_max_bytes=timeline.samples.runner_rss_max_bytes,
        units_total=timeline.units_total,
        units_covered=_units_covered(timeline),
        share_units=timeline.share_units,
        passes=len(timeline.pass_ends),
        first_pass_s=timeline.pass_ends.get(1),
        attempts=len(timeline.finished),
        outcomes={outcome: outcomes[outcome] for outcome in OUTCOMES if outcomes[outcome]},
        cases=sum(attempt.cases for attempt in timeline.finished),
        verdicts=verdicts,
        verdicts_per_worker_hour=3600.0 * verdicts / worker_s if worker_s > 0 else 0.0,
        idle=idle,
        gaps=gaps,
        per_worker=_per_worker(timeline, busy),
        problems=tuple(problems),
    )


def _units_covered(timeline: Timeline) -> int:
    coverage = Coverage(timeline.units_total)
    for attempt in timeline.finished:
        if attempt.outcome in VERDICTS:
            coverage.add(attempt.unit, attempt.seed)
    return coverage.count


def _per_worker(timeline: Timeline, busy: dict[int, list[Busy]]) -> tuple[WorkerUtilization, ...]:
    attempts: Counter[int] = Counter()
    units: dict[int, set[str]] = {}
    for attempt in timeline.finished:
        attempts[attempt.worker] += 1
        units.setdefault(attempt.worker, set()).add(attempt.unit)
    return tuple(
        WorkerUtilization(
            worker=worker,
            lifetime_s=_lifetime_s(timeline, worker),
            busy_s=sum(part.end_s - part.start_s for part in busy.get(worker, ())),
            attempts=attempts[worker],
            units=len(units.get(worker, ())),
        )
        for worker in range(timeline.workers)
    )


def _lifetime_s(timeline: Timeline, worker: int) -> float:
    life = timeline.lives.get(worker)
    if life is None:
        return 0.0
    stop_s = timeline.last_s if life.stop_s is None else life.stop_s
    return max(0.0, min(stop_s, timeline.budget_s) - life.start_s)
