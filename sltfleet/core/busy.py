"""When each worker of a run was busy, and when it was not: interval arithmetic for `core.utilization`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from sltfleet.core.timeline import Timeline
from sltfleet.wire.outcome import INFRA

#: The journal's times are rounded: attempts that overlap by less than this do not.
OVERLAP_TOLERANCE_S = 0.001


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
class Busy:
    """A time in which a worker ran an attempt."""

    start_s: float
    end_s: float
    attempt: int


def busy_intervals(timeline: Timeline, span_s: float) -> tuple[dict[int, list[Busy]], tuple[str, ...]]:
    """Return the busy intervals of each worker within the span, in order and without overlap, and what is wrong in
    the journal.
    """
    problems: list[str] = []
    parts = _busy_parts(timeline, span_s, problems)
    busy = {worker: _merged(worker, entries, problems) for worker, entries in parts.items()}
    return busy, tuple(problems)


def _busy_parts(timeline: Timeline, span_s: float, problems: list[str]) -> dict[int, list[Busy]]:
    """The busy time of each worker, clipped to the span, in the order of time."""
    parts: dict[int, list[Busy]] = {}
    for attempt in timeline.finished:
        if attempt.outcome != INFRA:
            parts.setdefault(attempt.worker, []).append(
                _clipped(attempt.start_s, attempt.end_s, span_s, attempt.number)
            )
    begun: set[tuple[int, float]] = set()
    for running in timeline.unfinished:
        if timeline.reason is not None:
            problems.append(f"attempt {running.number} of worker {running.worker} has no end, and the run has one")
        elif (running.worker, running.start_s) not in begun:  # tests that share a process begin together
            begun.add((running.worker, running.start_s))
            clipped = _clipped(running.start_s, timeline.last_s, span_s, running.number)
            parts.setdefault(running.worker, []).append(clipped)
    for worker in sorted(parts):
        if not 0 <= worker < timeline.workers:
            problems.append(
                f"worker {worker} is none of the {timeline.workers} of this run: its attempts are not counted"
            )
            del parts[worker]
    return {worker: sorted(entries, key=lambda part: (part.start_s, part.end_s)) for worker, entries in parts.items()}


def _clipped(start_s: float, end_s: float, span_s: float, attempt: int) -> Busy:
    start_s = min(max(start_s, 0.0), span_s)
    return Busy(start_s, max(start_s, min(end_s, span_s)), attempt)


def _merged(worker: int, parts: Sequence[Busy], problems: list[str]) -> list[Busy]:
    """The parts without what overlaps the ones before; the first overlap of a worker is reported."""
    merged: list[Busy] = []
    reported = False
    for part in parts:
        before = merged[-1] if merged else None
        overlap_s = min(before.end_s, part.end_s) - part.start_s if before else 0.0
        if before and overlap_s > OVERLAP_TOLERANCE_S and not reported:
            problems.append(
                f"worker {worker}: attempts {before.attempt} and {part.attempt} overlap by {overlap_s:.3f} s"
            )
            reported = True
        start_s = max(part.start_s, before.end_s) if before else part.start_s
        if part.end_s >= start_s:
            merged.append(Busy(start_s, part.end_s, part.attempt))
    return merged


def idle_time(busy: Mapping[int, Sequence[Busy]], workers: int, span_s: float) -> tuple[Idle, Gaps]:
    """Return what of workers x span was not busy, and the pauses between attempts."""
    before_s = between_s = 0.0
    after_s = (workers - len(busy)) * span_s
    pauses: list[float] = []
    for parts in busy.values():
        before_s += parts[0].start_s
        after_s += span_s - parts[-1].end_s
        pauses += [later.start_s - earlier.end_s for earlier, later in pairwise(parts)]
    between_s = sum(pauses)
    gaps = Gaps(len(pauses), median(pauses) if pauses else 0.0, max(pauses, default=0.0))
    return Idle(before_s, between_s, after_s), gaps


def active_levels(busy: Mapping[int, Sequence[Busy]], span_s: float) -> dict[int, float]:
    """Return for how many seconds of the span so many workers were active at once."""
    edges: list[tuple[float, int]] = []
    for parts in busy.values():
        for part in parts:
            edges += [(part.start_s, 1), (part.end_s, -1)]
    edges.sort()
    held: dict[int, float] = {}
    active, since_s = 0, 0.0
    for at_s, step in [*edges, (span_s, 0)]:
        if at_s > since_s:
            held[active] = held.get(active, 0.0) + at_s - since_s
        active, since_s = active + step, at_s
    return held


def weighted_median(levels: Mapping[int, float]) -> int:
    """Return the level below which half of the time was spent; 0 for no time at all."""
    half_s = sum(levels.values()) / 2
    passed_s = 0.0
    for level in sorted(levels):
        passed_s += levels[level]
        if passed_s >= half_s:
            return level
    return 0
