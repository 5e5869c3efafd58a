"""A simulated host for the runner's core: a fake clock, units that behave as they are told, a journal."""

from __future__ import annotations

import heapq
import signal
from dataclasses import dataclass, field

from hypothesis import strategies as st

from sltfleet.runner.dispatch import Dispatcher
from sltfleet.runner.messages import (
    Action,
    Attempt,
    Begin,
    Event,
    Exited,
    Finish,
    Record,
    Settle,
    SignalGroup,
    Spawn,
    SpawnFailed,
    Started,
    StopRequested,
    Tick,
)
from sltfleet.runner.verdicts import Verdict
from sltfleet.wire import events as wire


@dataclass
class Behaviour:
    """What a unit does: how long it takes, and how it takes SIGTERM."""

    duration_s: float = 1.0
    exit_code: int = 0
    ignores_sigterm: bool = False
    unkillable: bool = False
    starts: bool = True
    signal: int | None = None


@dataclass
class World:
    """A host in a loop: the dispatcher's actions happen at once, processes end by themselves or by signals."""

    dispatcher: Dispatcher
    units: dict[str, Behaviour]
    stop_at_s: float | None = None
    now: float = 0.0
    journal: list[wire.Event] = field(default_factory=list)
    ends: list[tuple[float, int, int]] = field(default_factory=list)
    running: dict[int, Attempt] = field(default_factory=dict)
    spans: list[tuple[int, float, float]] = field(default_factory=list)
    since: dict[int, float] = field(default_factory=dict)
    finish: str | None = None
    pids: int = 100

    def tell(self, event: Event) -> None:
        self.do(self.dispatcher.handle(event, self.now))

    def do(self, actions: list[Action]) -> None:
        answers: list[Event] = []
        for action in actions:
            if isinstance(action, Spawn):
                answers.append(self.spawn(action))
            elif isinstance(action, SignalGroup):
                behaviour = self.units[self.running[action.pid].unit]
                if action.signal == signal.SIGKILL and not behaviour.unkillable:
                    heapq.heappush(self.ends, (self.now + 0.001, action.pid, 9))
                elif action.signal == signal.SIGTERM and not behaviour.ignores_sigterm:
                    heapq.heappush(self.ends, (self.now + 0.002, action.pid, 15))
            elif isinstance(action, (Settle, Record)):
                self.journal.append(action.event)
            elif isinstance(action, Finish):
                assert self.finish is None
                self.finish = action.reason
        for answer in answers:
            self.tell(answer)

    def spawn(self, action: Spawn) -> Event:
        behaviour = self.units[action.attempt.unit]
        if not behaviour.starts:
            return SpawnFailed(action.attempt, "cannot start: no such file")
        self.pids += 1
        self.running[self.pids] = action.attempt
        self.since[self.pids] = self.now
        if behaviour.duration_s < 1e9:
            heapq.heappush(self.ends, (self.now + behaviour.duration_s, self.pids, behaviour.signal or 0))
        return Started(action.attempt, self.pids)

    def run(self) -> list[wire.Event]:
        self.tell(Begin())
        return self.run_on()

    def run_on(self) -> list[wire.Event]:
        for _ in range(100_000):
            if self.finish is not None:
                return self.journal
            times = [time for time in (self.dispatcher.next_deadline(), self.stop_at_s) if time is not None]
            times += [self.ends[0][0]] if self.ends else []
            self.now = max(self.now, min(times))
            while self.ends and self.ends[0][0] <= self.now:
                self.end(*heapq.heappop(self.ends))
            if self.stop_at_s is not None and self.now >= self.stop_at_s:
                self.stop_at_s = None
                self.tell(StopRequested())
            self.tell(Tick())
        raise AssertionError("the run never ends")

    def end(self, _at: float, pid: int, number: int) -> None:
        attempt = self.running.pop(pid, None)
        if attempt is None:
            return
        self.spans.append((attempt.worker, self.since[pid], self.now))
        code = self.units[attempt.unit].exit_code
        verdict = Verdict("pass", (attempt.unit,)) if code == 0 else Verdict("fail")
        self.tell(Exited(attempt, None if number else code, number or None, verdict))


def attempts(journal: list[wire.Event]) -> list[wire.AttemptFinished]:
    return [event for event in journal if isinstance(event, wire.AttemptFinished)]


BEHAVIOURS = st.builds(
    Behaviour,
    duration_s=st.sampled_from([0.1, 0.5, 1.0, 3.0, 40.0]),
    exit_code=st.sampled_from([0, 0, 1]),
    ignores_sigterm=st.booleans(),
    starts=st.sampled_from([True, True, True, False]),
    signal=st.sampled_from([None, None, 11]),
)


SUITES = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), BEHAVIOURS, min_size=1, max_size=8)
