"""Short tests that share a process: a simulated harness with a fake clock, and single endings by values."""

from __future__ import annotations

import heapq
import signal
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.runner.batches import Batcher, divide, members, split
from sltfleet.runner.dispatch import Dispatcher
from sltfleet.runner.knowledge import Knowledge
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
    Started,
    Tick,
)
from sltfleet.runner.phases import Config
from sltfleet.runner.schedule import PassScheduler
from sltfleet.runner.verdicts import CutShort, TimedOut, Verdict
from sltfleet.wire import events as wire
from sltfleet.wire import outcome as outcomes
from sltfleet.wire.events import FailedCase, Rusage
from sltfleet.wire.spec import Limits, UnitHistory

#: What a test does -> its outcome.
KINDS = {
    "ok": outcomes.PASS,
    "fails": outcomes.FAIL,
    "crashes": outcomes.CRASH,
    "exits": outcomes.FAIL,
    "hangs": outcomes.TIMEOUT,
}


@dataclass
class Harness:
    """A host on which each unit is a test of 10 ms. `named`: the harness names the test that runs."""

    dispatcher: Dispatcher
    kinds: dict[str, str]
    named: bool = True
    now: float = 0.0
    journal: list[wire.Event] = field(default_factory=list)
    ends: list[tuple[float, int]] = field(default_factory=list)
    running: dict[int, Exited] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    finished: bool = False

    def run(self) -> list[wire.Event]:
        self.tell(Begin())
        while not self.finished:
            times = [time for time in (self.dispatcher.next_deadline(),) if time is not None]
            self.now = max(self.now, min([*times, *(time for time, _ in self.ends)]))
            while self.ends and self.ends[0][0] <= self.now:
                _, pid = heapq.heappop(self.ends)
                if pid in self.running:
                    self.tell(self.running.pop(pid))
            self.tell(Tick())
        return self.journal

    def tell(self, event: Event) -> None:
        for action in self.dispatcher.handle(event, self.now):
            self.do(action)

    def do(self, action: Action) -> None:
        if isinstance(action, Spawn):
            pid = 100 + len(self.sizes)
            self.sizes.append(len(members(action.attempt)))
            self.spawn(pid, action.attempt)
            self.tell(Started(action.attempt, pid))
        elif isinstance(action, SignalGroup):
            self.running[action.pid] = replace(self.running[action.pid], exit_code=None, signal=action.signal)
            heapq.heappush(self.ends, (self.now, action.pid))
        elif isinstance(action, Settle):
            self.journal += [action.event, *action.others]
        elif isinstance(action, Record):
            self.journal.append(action.event)
        elif isinstance(action, Finish):
            self.finished = True

    def spawn(self, pid: int, attempt: Attempt) -> None:
        passed: list[str] = []
        failed: list[FailedCase] = []
        at_s = self.now
        for one in members(attempt):
            kind = self.kinds[one.unit]
            at_s += 0.01
            if kind == "ok":
                passed.append(one.unit)
            elif kind == "fails":
                failed.append(FailedCase(one.unit, "no"))
            else:
                known = self.named or not attempt.others
                verdict = Verdict(
                    outcomes.FAIL, tuple(passed), tuple(failed), "ended", FailedCase(one.unit) if known else None
                )
                number = int(signal.SIGABRT) if kind == "crashes" else None
                code = 0 if kind == "exits" else None
                self.running[pid] = Exited(attempt, code, number, verdict)
                if kind != "hangs":
                    heapq.heappush(self.ends, (at_s, pid))
                return
        outcome = outcomes.FAIL if failed else outcomes.PASS
        self.running[pid] = Exited(attempt, 101 if failed else 0, None, Verdict(outcome, tuple(passed), tuple(failed)))
        heapq.heappush(self.ends, (at_s, pid))


def make(kinds: dict[str, str], *, workers: int = 2, named: bool = True, batch_s: float = 0.1) -> Harness:
    """All tests are known to be short and to have passed; those of one letter are of one executable."""
    history = {unit: UnitHistory(rank=2, expected_s=0.01) for unit in kinds}
    knowledge = Knowledge(history, Limits(timeout_s=3.0))
    config = Config(workers=workers, units=len(kinds), budget_s=1000.0, kill_after_s=1.0)
    batcher = Batcher(knowledge, batch_s, {unit: unit[0] for unit in kinds})
    scheduler = PassScheduler(tuple(kinds), 7, knowledge, passes=2)
    return Harness(Dispatcher(config, scheduler, knowledge, batcher=batcher), kinds, named)


def verdicts(journal: list[wire.Event]) -> Counter[tuple[int, str, str]]:
    return Counter(
        (event.pass_number, event.unit, event.outcome)
        for event in journal
        if isinstance(event, wire.AttemptFinished) and event.outcome in outcomes.VERDICTS
    )


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.builds("{}{}".format, st.sampled_from("ab"), st.integers(0, 30)),
        st.sampled_from([*["ok"] * 6, *KINDS]),
        min_size=1,
        max_size=25,
    ),
    st.integers(1, 4),
    st.booleans(),
)
def test_every_test_gets_its_own_verdict_once_per_pass_whoever_it_shares_a_process_with(
    kinds: dict[str, str], workers: int, named: bool
) -> None:
    journal = make(kinds, workers=workers, named=named).run()
    assert verdicts(journal) == {(number, unit, KINDS[kind]): 1 for unit, kind in kinds.items() for number in (1, 2)}
    started = [event.attempt for event in journal if isinstance(event, wire.AttemptStarted)]
    ended = [event.attempt for event in journal if isinstance(event, wire.AttemptFinished)]
    assert sorted(started) == sorted(ended)


def test_tests_of_one_executable_share_a_process_up_to_the_target() -> None:
    harness = make({f"{letter}{number}": "ok" for letter in "ab" for number in range(20)}, workers=1)
    journal = harness.run()
    assert max(harness.sizes) == 10
    assert sum(harness.sizes) == 80
    assert len(harness.sizes) < 40
    attempts = [event for event in journal if isinstance(event, wire.AttemptFinished)]
    assert sum(event.duration_s for event in attempts) == pytest.approx(0.8)
    assert all(0 < event.duration_s < 0.1 for event in attempts)


def test_without_a_target_every_test_has_a_process_of_its_own() -> None:
    harness = make({f"a{number}": "ok" for number in range(9)}, batch_s=0.0)
    harness.run()
    assert set(harness.sizes) == {1}


def test_a_test_that_took_others_with_it_runs_alone_from_then_on() -> None:
    harness = make({**{f"a{number}": "ok" for number in range(8)}, "a8": "crashes"}, workers=1)
    journal = harness.run()
    pids = Counter(event.pid for event in journal if isinstance(event, wire.AttemptStarted) and event.pass_number == 2)
    [second] = [
        event.pid
        for event in journal
        if isinstance(event, wire.AttemptStarted) and event.unit == "a8" and event.pass_number == 2
    ]
    assert pids[second] == 1
    assert max(pids.values()) > 1


def attempt_of(*units: str) -> Attempt:
    first, *others = (Attempt(number, unit, 0, 1, 1, 9.0) for number, unit in enumerate(units, 1))
    return replace(first, others=tuple(others))


def outcomes_of(exited: Exited, cause: TimedOut | CutShort | None = None) -> list[str | None]:
    return [verdict.outcome if verdict else None for _, verdict in split(exited, cause)]


def test_what_passed_before_the_end_keeps_its_verdict_and_what_came_behind_has_none() -> None:
    told = Verdict(outcomes.FAIL, passed=("a",), running=FailedCase("b", "boom"))
    ended = Exited(attempt_of("a", "b", "c"), None, int(signal.SIGSEGV), told)
    assert outcomes_of(ended) == ["pass", "crash", None]
    assert split(ended, None)[1][1] == Verdict(
        "crash", failed=(FailedCase("b", "ended by SIGSEGV: boom"),), message="ended by SIGSEGV"
    )
    assert outcomes_of(ended, TimedOut(9.0)) == ["pass", "timeout", None]
    assert outcomes_of(ended, CutShort("budget")) == ["pass", "cut", None]


def test_nobody_is_believed_where_the_process_failed_and_none_of_its_tests_did() -> None:
    told = Verdict(outcomes.FAIL, passed=("a", "b"), message="exit code 7 though no case failed")
    assert outcomes_of(Exited(attempt_of("a", "b"), 7, None, told)) == [None, None]


def test_time_and_cpu_are_divided_by_what_was_expected() -> None:
    event = wire.AttemptFinished(9.0, 1, "a", 0, 1, 1, "pass", 3.0)
    short, long = divide([event, event], [0.1, 0.2], 6.0, 9.0, Rusage(user_s=3.0, max_rss_bytes=5))
    assert (short.t, short.duration_s) == pytest.approx((7.0, 1.0))
    assert (long.t, long.duration_s) == pytest.approx((9.0, 2.0))
    assert (short.rusage.user_s, long.rusage.user_s) == pytest.approx((1.0, 2.0))
    assert short.rusage.max_rss_bytes == 5
