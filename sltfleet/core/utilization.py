"""How well a run kept its workers busy: the numbers of the story, from what the journal says.

The formulas are those of the design's table of metrics. With N workers and a span S, the seconds that count:

    occupancy            busy worker-seconds / (N x S)
    active workers       mean: busy worker-seconds / S; median: over time, each count weighted by how long it held
    host CPU             mean of the samples, weighted by time, over the time that was sampled
    tests' CPU           user and system time of the attempts (wait4) / (cores x S)
    runtime per worker   from its start until it left, at most the budget
    coverage             units with at least one verdict / all units

S is the budget, also for a run that ended early of itself (`once`): the budget it did not use is the finding. S is the elapsed
time where the budget was not to be used up: a run that is still going or was lost, one that a person or fail-fast stopped, and
one that was asked for a number of passes. `basis` says which it is.

An attempt counts from its start to its end within the span. One that was `cut` kept its worker busy like any other; one that
could not be started (`infra`) did not. Two attempts of one worker at the same time are an error in the journal: reported
in `problems`, and the time counted once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from sltfleet.core.timeline import Timeline
from sltfleet.wire.outcome import INFRA, OUTCOMES, VERDICTS

#: The journal's times are rounded: attempts that overlap by less than this do not.
OVERLAP_TOLERANCE_S = 0.001

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
class Idle:
    """Worker-seconds of the span without an attempt; together with the busy ones they are workers x span."""

    before_first_s: float
    between_s: float
    #: For a worker without any attempt: the whole span.
    after_last_s: float


@dataclass(frozen=True)
class Gaps:
    """The pauses between an attempt's end and the start of the same worker's next one."""

    count: int
    median_s: float
    max_s: float


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
    units_covered: int
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


@dataclass(frozen=True)
class _Busy:
    start_s: float
    end_s: float
    attempt: int


def utilization(timeline: Timeline) -> Utilization:
    """Return the numbers of one run on one host."""
    elapsed_s = timeline.last_s
    by_budget = timeline.reason is not None and timeline.reason not in _ELAPSED_REASONS
    span_s = timeline.budget_s if by_budget else min(elapsed_s, timeline.budget_s)
    problems: list[str] = []
    busy = {worker: _merged(worker, parts, problems) for worker, parts in _busy_parts(timeline, span_s, problems).items()}
    outcomes = Counter(attempt.outcome for attempt in timeline.finished)
    verdicts = sum(count for outcome, count in outcomes.items() if outcome in VERDICTS)
    busy_s = sum(part.end_s - part.start_s for parts in busy.values() for part in parts)
    worker_s = timeline.workers * span_s
    idle, gaps = _idle(busy, timeline.workers, span_s)
    levels = _levels([part for parts in busy.values() for part in parts], span_s)
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
        active_median=_weighted_median(levels),
        cpu_mean_percent=timeline.samples.cpu_mean_percent,
        cpu_max_percent=timeline.samples.cpu_max_percent if timeline.samples.count else None,
        sampled_s=timeline.samples.sampled_s,
        tests_cpu_percent=100.0 * sum(a.cpu_s for a in timeline.finished) / core_s if core_s > 0 else 0.0,
        memory_available_min_bytes=timeline.samples.memory_min_bytes,
        runner_cpu_s=timeline.samples.runner_cpu_s,
        runner_rss_max_bytes=timeline.samples.runner_rss_max_bytes,
        units_total=timeline.units_total,
        units_covered=len({a.unit for a in timeline.finished if a.outcome in VERDICTS}),
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


def _busy_parts(timeline: Timeline, span_s: float, problems: list[str]) -> dict[int, list[_Busy]]:
    """The busy time of each worker, clipped to the span, in the order of time."""
    parts: dict[int, list[_Busy]] = {}
    for attempt in timeline.finished:
        if attempt.outcome != INFRA:
            parts.setdefault(attempt.worker, []).append(_clipped(attempt.start_s, attempt.end_s, span_s, attempt.number))
    for running in timeline.unfinished:
        if timeline.reason is None:
            clipped = _clipped(running.start_s, timeline.last_s, span_s, running.number)
            parts.setdefault(running.worker, []).append(clipped)
        else:
            problems.append(f"attempt {running.number} of worker {running.worker} has no end, and the run has one")
    for worker in sorted(parts):
        if not 0 <= worker < timeline.workers:
            problems.append(f"worker {worker} is none of the {timeline.workers} of this run: its attempts are not counted")
            del parts[worker]
    return {worker: sorted(entries, key=lambda part: (part.start_s, part.end_s)) for worker, entries in parts.items()}


def _clipped(start_s: float, end_s: float, span_s: float, attempt: int) -> _Busy:
    start_s = min(max(start_s, 0.0), span_s)
    return _Busy(start_s, max(start_s, min(end_s, span_s)), attempt)


def _merged(worker: int, parts: Sequence[_Busy], problems: list[str]) -> list[_Busy]:
    """The parts without what overlaps the ones before; the first overlap of a worker is reported."""
    merged: list[_Busy] = []
    reported = False
    for part in parts:
        before = merged[-1] if merged else None
        overlap_s = min(before.end_s, part.end_s) - part.start_s if before else 0.0
        if before and overlap_s > OVERLAP_TOLERANCE_S and not reported:
            problems.append(
                f"worker {worker}: attempts {before.attempt} and {part.attempt} ran at the same time for {overlap_s:.3f} s"
            )
            reported = True
        start_s = max(part.start_s, before.end_s) if before else part.start_s
        if part.end_s >= start_s:
            merged.append(_Busy(start_s, part.end_s, part.attempt))
    return merged


def _idle(busy: dict[int, list[_Busy]], workers: int, span_s: float) -> tuple[Idle, Gaps]:
    before_s = between_s = 0.0
    after_s = (workers - len(busy)) * span_s
    pauses: list[float] = []
    for parts in busy.values():
        before_s += parts[0].start_s
        after_s += span_s - parts[-1].end_s
        pauses += [later.start_s - earlier.end_s for earlier, later in zip(parts, parts[1:], strict=False)]
    between_s = sum(pauses)
    gaps = Gaps(len(pauses), median(pauses) if pauses else 0.0, max(pauses, default=0.0))
    return Idle(before_s, between_s, after_s), gaps


def _levels(parts: Iterable[_Busy], span_s: float) -> dict[int, float]:
    """How many seconds of the span so many workers were active at once."""
    edges: list[tuple[float, int]] = []
    for part in parts:
        edges += [(part.start_s, 1), (part.end_s, -1)]
    edges.sort()
    held: dict[int, float] = {}
    active, since_s = 0, 0.0
    for at_s, step in edges:
        held[active] = held.get(active, 0.0) + at_s - since_s
        active, since_s = active + step, at_s
    held[active] = held.get(active, 0.0) + span_s - since_s
    return held


def _weighted_median(levels: dict[int, float]) -> int:
    half_s = sum(levels.values()) / 2
    passed_s = 0.0
    for level in sorted(levels):
        passed_s += levels[level]
        if passed_s >= half_s:
            return level
    return 0


def _per_worker(timeline: Timeline, busy: dict[int, list[_Busy]]) -> tuple[WorkerUtilization, ...]:
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
