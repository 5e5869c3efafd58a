"""What one run did on one host, as intervals on the run's clock: the input of `core.utilization`.

A timeline is made from journal events (`timeline_of`) or from the rows of the results database, which hold the same.
Seconds count from the run's start on the host's monotonic clock. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from sltfleet.wire.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    PassFinished,
    RunFinished,
    RunResumed,
    RunStarted,
    Sample,
    WorkerStarted,
    WorkerStopped,
)


class FinishedAttempt(NamedTuple):
    """An attempt that is over. `cpu_s` is what it used, `cases` how many verdicts about cases it gave."""

    number: int
    worker: int
    unit: str
    start_s: float
    end_s: float
    outcome: str
    cases: int
    cpu_s: float
    seed: int


class UnfinishedAttempt(NamedTuple):
    """An attempt whose end is not in the journal: it runs, or its runner was lost."""

    number: int
    worker: int
    unit: str
    start_s: float


@dataclass(frozen=True)
class WorkerLife:
    """When a worker's slot came to life and when it left (None: it has not)."""

    start_s: float
    stop_s: float | None = None


@dataclass
class SampleSummary:
    """What the samples within the budget add up to. `sampled_s` is the time that they speak of."""

    count: int = 0
    sampled_s: float = 0.0
    #: CPU percent times the seconds it held for.
    cpu_percent_s: float = 0.0
    cpu_max_percent: float = 0.0
    memory_min_bytes: int | None = None
    runner_rss_max_bytes: int = 0
    runner_cpu_s: float = 0.0
    last_t: float = 0.0

    def add(self, sample: Sample, budget_s: float) -> None:
        """Count a sample: its CPU is the mean since the sample before. One beyond the budget is ignored."""
        self.runner_rss_max_bytes = max(self.runner_rss_max_bytes, sample.runner_rss_bytes)
        self.runner_cpu_s = max(self.runner_cpu_s, sample.runner_cpu_s)
        if sample.t > budget_s or sample.t <= self.last_t:
            return
        span_s = sample.t - self.last_t
        self.count += 1
        self.sampled_s += span_s
        self.cpu_percent_s += sample.cpu_percent * span_s
        self.cpu_max_percent = max(self.cpu_max_percent, sample.cpu_percent)
        before = self.memory_min_bytes
        available = sample.memory_available_bytes
        self.memory_min_bytes = available if before is None else min(before, available)
        self.last_t = sample.t

    @property
    def cpu_mean_percent(self) -> float | None:
        """The mean over the sampled time, each sample weighted by the time since the one before."""
        return self.cpu_percent_s / self.sampled_s if self.sampled_s > 0 else None


@dataclass
class Timeline:
    """One run on one host. `last_s` is the time of the last thing known; `reason` is None until the runner said
    goodbye.
    """

    workers: int
    cores: float
    budget_s: float
    units_total: int
    #: How many of them the first pass has on this host, None for all.
    share_units: int | None = None
    finished: list[FinishedAttempt] = field(default_factory=list)
    unfinished: list[UnfinishedAttempt] = field(default_factory=list)
    lives: dict[int, WorkerLife] = field(default_factory=dict)
    #: When each pass was complete, by its number.
    pass_ends: dict[int, float] = field(default_factory=dict)
    samples: SampleSummary = field(default_factory=SampleSummary)
    last_s: float = 0.0
    reason: str | None = None


def timeline_of(events: Iterable[Event]) -> Timeline:
    """Return the timeline of a journal's events. Raises ValueError where they do not begin with `run-started`.

    Of two ends of the same attempt the first counts, as in the results database.
    """
    iterator = iter(events)
    first = next(iterator, None)
    if not isinstance(first, RunStarted):
        raise ValueError("the journal does not begin with run-started")
    timeline = Timeline(
        workers=first.workers,
        cores=first.cores,
        budget_s=first.budget_s,
        units_total=len(set(first.units)),
        share_units=first.share_units,
    )
    running: dict[int, UnfinishedAttempt] = {}
    ended: set[int] = set()
    for event in iterator:
        timeline.last_s = max(timeline.last_s, event.t)
        if isinstance(event, AttemptStarted):
            if event.attempt not in ended:
                running[event.attempt] = UnfinishedAttempt(event.attempt, event.worker, event.unit, event.t)
        elif isinstance(event, AttemptFinished):
            running.pop(event.attempt, None)
            if event.attempt not in ended:
                ended.add(event.attempt)
                timeline.finished.append(finished_attempt(event))
        elif isinstance(event, Sample):
            timeline.samples.add(event, timeline.budget_s)
        else:
            _note(timeline, event)
    timeline.unfinished = list(running.values())
    return timeline


def finished_attempt(event: AttemptFinished) -> FinishedAttempt:
    """Return the interval of an attempt: it started at `t - duration_s` (see `wire.events.AttemptFinished`)."""
    return FinishedAttempt(
        number=event.attempt,
        worker=event.worker,
        unit=event.unit,
        start_s=event.t - event.duration_s,
        end_s=event.t,
        outcome=event.outcome,
        cases=len(event.passed) + len(event.failed),
        cpu_s=event.rusage.user_s + event.rusage.system_s,
        seed=event.seed,
    )


def _note(timeline: Timeline, event: Event) -> None:
    if isinstance(event, WorkerStarted):
        born = timeline.lives.get(event.worker)  # before a resume: the run's clock stood still in between
        timeline.lives[event.worker] = WorkerLife(born.start_s if born else event.t)
    elif isinstance(event, WorkerStopped):
        born = timeline.lives.get(event.worker)
        timeline.lives[event.worker] = WorkerLife(born.start_s if born else event.t, event.t)
    elif isinstance(event, PassFinished):
        timeline.pass_ends.setdefault(event.pass_number, event.t)
    elif isinstance(event, RunResumed):
        timeline.reason = None
    elif isinstance(event, RunFinished):
        timeline.reason = event.reason
