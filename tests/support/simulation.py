"""The schedule on a simulated host: workers that take the next unit the moment they are free."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import strategies as st

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.schedule import Assignment, PassScheduler
from sltfleet.wire import events as wire


@dataclass(frozen=True)
class Done:
    """An attempt that is over, or was cut by the end of the budget."""

    assignment: Assignment
    worker: int
    start_s: float
    end_s: float
    cut: bool = False


@dataclass
class Simulation:
    """A run of `workers` over units that always take the same time, within a budget.

    On one of several hosts `shard` is its part of the first pass; what runs when it dies is lost.
    """

    durations: dict[str, float]
    workers: int
    budget_s: float = 1e9
    passes: int | None = None
    seed: int = 1
    knowledge: Knowledge = field(default_factory=Knowledge)
    outcomes: dict[str, str] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    #: (time, worker): it got nothing to do although the budget was not over.
    idle: list[tuple[float, int]] = field(default_factory=list)
    pass_ends: dict[int, float] = field(default_factory=dict)
    shard: list[str] | None = None
    salt: str = ""
    dies_at_s: float = math.inf

    def run(self) -> Simulation:
        scheduler = PassScheduler(
            list(self.durations), self.seed, self.knowledge, self.passes, shard=self.shard, salt=self.salt
        )
        end_s = min(self.budget_s, self.dies_at_s)
        running: list[tuple[float, int, float, Assignment]] = []
        now = 0.0
        free = list(range(self.workers))
        while True:
            for worker in free:
                choice = scheduler.next_unit(worker, now, self.budget_s - now)
                if isinstance(choice, Assignment):
                    heapq.heappush(running, (now + self.durations[choice.unit], worker, now, choice))
                else:
                    self.idle.append((now, worker))
            if not running or running[0][0] >= end_s:
                break
            now, worker, start_s, assignment = heapq.heappop(running)
            self.done.append(Done(assignment, worker, start_s, now))
            self.knowledge.learn(self._event(assignment, now, now - start_s))
            for number in scheduler.finished(assignment):
                self.pass_ends[number] = now
            free = [worker]
        self.done += [Done(a, worker, start_s, end_s, cut=True) for _, worker, start_s, a in running]
        return self

    def _event(self, assignment: Assignment, now: float, duration_s: float) -> wire.AttemptFinished:
        outcome = self.outcomes.get(assignment.unit, "pass")
        return wire.AttemptFinished(now, 1, assignment.unit, 0, assignment.pass_number, 0, outcome, duration_s)

    def counted(self) -> Counter[tuple[int, str]]:
        """How often a unit was counted in a pass."""
        return Counter((d.assignment.pass_number, d.assignment.unit) for d in self.done if not d.assignment.extra)


def skewed(count: int, seed: int, sigma: float = 1.2) -> dict[str, float]:
    """Durations as real suites have them: most are short, a few are a hundred times as long."""
    source = random.Random(seed)
    return {f"{number:05}.test": round(source.lognormvariate(0.0, sigma), 3) + 0.001 for number in range(count)}


DURATIONS = st.lists(st.sampled_from([0.1, 0.3, 1.0, 2.5, 7.0, 40.0]), min_size=1, max_size=40).map(
    lambda seconds: {f"u{number}": duration for number, duration in enumerate(seconds)}
)
