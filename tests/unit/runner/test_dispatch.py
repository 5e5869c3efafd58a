"""The core, driven by a simulated host with a fake clock."""

from __future__ import annotations

import signal

from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.runner.dispatch import Dispatcher
from sltfleet.runner.endings import CUT_KILL_AFTER_S, GIVE_UP_AFTER_S
from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.messages import (
    Begin,
    SampleTaken,
    Tick,
)
from sltfleet.runner.phases import Config, Over
from sltfleet.runner.schedule import PassScheduler
from sltfleet.wire import events as wire
from sltfleet.wire.spec import Limits
from tests.support.world import SUITES, Behaviour, World, attempts


def make(
    units: dict[str, Behaviour],
    workers: int = 2,
    budget_s: float = 10.0,
    timeout_s: float = 1000.0,
    kill_after_s: float = 5.0,
    passes: int | None = None,
    fail_fast: int | None = None,
    stop_at_s: float | None = None,
    seed: int = 1,
) -> World:
    config = Config(workers, len(units), budget_s, kill_after_s, fail_fast)
    knowledge = Knowledge(limits=Limits(timeout_s=timeout_s, retry_weight=1, quarantine_after=99))
    scheduler = PassScheduler(list(units), seed, knowledge, passes)
    return World(Dispatcher(config, scheduler, knowledge), units, stop_at_s)


@given(
    SUITES, st.integers(1, 5), st.none() | st.integers(1, 2), st.none() | st.integers(1, 3), st.none() | st.just(4.5)
)
@settings(max_examples=200)
def test_the_journal_accounts_for_every_attempt_and_every_worker(
    units: dict[str, Behaviour], workers: int, passes: int | None, fail_fast: int | None, stop_at_s: float | None
) -> None:
    world = make(units, workers, 6.0, 2.0, 0.5, passes, fail_fast, stop_at_s)
    journal = world.run()
    started = [event.attempt for event in journal if isinstance(event, wire.AttemptStarted)]
    ended = [event.attempt for event in attempts(journal)]
    assert len(set(ended)) == len(ended)
    assert set(started) <= set(ended)
    assert all(event.outcome == "infra" for event in attempts(journal) if event.attempt not in started)
    stopped = [event for event in journal if isinstance(event, wire.WorkerStopped)]
    assert sorted(event.worker for event in stopped) == list(range(workers))
    assert all(0 <= event.busy_s <= event.lifetime_s + 1e-9 <= 6.0 + 2e-9 for event in stopped)
    last = journal[-1]
    assert isinstance(last, wire.RunFinished)
    assert last.reason == world.finish == world.dispatcher.reason
    assert last.attempts == len(ended)
    assert isinstance(world.dispatcher.phase, Over)
    assert world.now <= 6.0 + CUT_KILL_AFTER_S + 0.1
    assert [event.t for event in journal] == sorted(event.t for event in journal)
    for event in attempts(journal):
        assert bool(event.failed) == (event.outcome in ("fail", "crash", "timeout"))
        assert bool(event.passed) == (event.outcome == "pass")


@given(st.integers(1, 5), st.lists(st.sampled_from([0.1, 0.3, 2.0, 7.0]), min_size=1, max_size=8), st.integers(0, 99))
def test_no_worker_is_idle_while_the_budget_lasts(workers: int, durations: list[float], seed: int) -> None:
    units = {str(number): Behaviour(duration) for number, duration in enumerate(durations)}
    world = make(units, workers, seed=seed)
    journal = world.run()
    for worker in range(workers):
        busy_s = sum(min(end, 10.0) - start for owner, start, end in world.spans if owner == worker)
        assert abs(busy_s - 10.0) < 1e-6
    stopped = [event for event in journal if isinstance(event, wire.WorkerStopped)]
    assert all(abs(event.busy_s - 10.0) < 1e-6 for event in stopped)


@given(SUITES, st.integers(1, 4))
def test_the_same_seed_gives_the_same_journal(units: dict[str, Behaviour], workers: int) -> None:
    assert make(units, workers, 5.0, 2.0).run() == make(units, workers, 5.0, 2.0).run()


def test_what_runs_at_the_end_of_the_budget_is_cut_and_has_no_verdict() -> None:
    world = make({"a": Behaviour(60.0), "b": Behaviour(60.0, ignores_sigterm=True)})
    cut = attempts(world.run())
    assert [event.outcome for event in cut] == ["cut", "cut"]
    assert all(not event.passed and not event.failed for event in cut)
    assert [event.signal for event in cut] == [signal.SIGTERM, signal.SIGKILL]
    assert world.finish == "budget"
    assert world.dispatcher.tally.covered == 0


def test_an_exit_that_is_told_after_the_deadline_but_before_the_tick_keeps_its_verdict() -> None:
    world = make({"a": Behaviour(1e10)}, workers=1)
    world.tell(Begin())
    world.now = 10.2
    world.ends = [(10.2, 101, 0)]
    world.end(*world.ends.pop())
    world.tell(Tick())
    assert [event.outcome for event in attempts(world.journal)] == ["pass"]
    assert world.finish == "budget"


def test_a_timeout_is_asked_to_end_then_made_to() -> None:
    units = {"a": Behaviour(60.0, ignores_sigterm=True)}
    world = make(units, workers=1, budget_s=20.0, timeout_s=3.0, kill_after_s=2.0, passes=1)
    (event,) = attempts(world.run())
    assert (event.outcome, event.signal) == ("timeout", signal.SIGKILL)
    assert abs(event.duration_s - 5.0) < 0.01
    assert event.failed == (wire.FailedCase("a", "timed out after 3 s"),)


def test_a_timeout_that_ends_itself_on_sigterm_with_exit_code_zero_is_still_a_timeout() -> None:
    world = make({"a": Behaviour(1e10, ignores_sigterm=True)}, workers=1, timeout_s=1.0)
    world.tell(Begin())
    world.now = 1.0
    world.tell(Tick())
    world.now = 1.5
    world.end(1.5, 101, 0)
    assert [event.outcome for event in attempts(world.journal)] == ["timeout"]


def test_a_timeout_at_the_deadline_stays_a_timeout_but_gets_no_more_time_than_the_rest() -> None:
    world = make({"a": Behaviour(1e10, ignores_sigterm=True)}, 1, budget_s=10.0, timeout_s=9.9, kill_after_s=60.0)
    (event,) = attempts(world.run())
    assert event.outcome == "timeout"
    assert world.now < 10.0 + CUT_KILL_AFTER_S + 0.1


def test_a_process_that_cannot_be_killed_does_not_hold_up_the_end() -> None:
    world = make({"a": Behaviour(1e10, ignores_sigterm=True, unkillable=True)}, workers=1)
    journal = world.run()
    assert world.now <= 10.0 + CUT_KILL_AFTER_S + GIVE_UP_AFTER_S + 0.1
    assert [event.outcome for event in attempts(journal)] == ["cut"]
    assert any(isinstance(event, wire.Note) and "could not be ended" in event.text for event in journal)


def test_a_worker_does_not_wait_for_a_process_that_cannot_be_killed() -> None:
    units = {"a": Behaviour(1e10, ignores_sigterm=True, unkillable=True), "b": Behaviour(1.0)}
    world = make(units, workers=1, budget_s=60.0, timeout_s=2.0, kill_after_s=1.0, passes=1)
    journal = world.run()
    stuck = next(event for event in attempts(journal) if event.unit == "a")
    assert (stuck.outcome, stuck.exit_code, stuck.signal) == ("timeout", None, None)
    assert stuck.duration_s < 2.0 + 1.0 + GIVE_UP_AFTER_S + 0.1
    assert {event.unit: event.outcome for event in attempts(journal)} == {"a": "timeout", "b": "pass"}
    assert sum(isinstance(event, wire.Note) and "could not be ended" in event.text for event in journal) == 1
    assert world.finish == "passes"
    # It goes in the end all the same: that changes nothing any more.
    before = len(world.journal)
    world.end(world.now, next(iter(world.running)), 9)
    assert len(world.journal) == before


def test_a_worker_whose_attempts_cannot_be_started_backs_off() -> None:
    world = make({"a": Behaviour(starts=False)}, workers=1, budget_s=60.0)
    assert 5 < len(attempts(world.run())) < 40
    assert "no such file" in world.dispatcher.trouble


def test_a_start_that_works_again_clears_the_trouble() -> None:
    world = make({"a": Behaviour(starts=False)}, workers=1)
    world.tell(Begin())
    assert world.dispatcher.trouble
    world.units["a"].starts = True
    world.now = 1.0
    world.tell(Tick())
    assert world.dispatcher.trouble == ""


def test_fail_fast_cuts_the_others() -> None:
    world = make({"a": Behaviour(1.0, exit_code=1), "b": Behaviour(50.0)}, fail_fast=1)
    assert [event.outcome for event in attempts(world.run())] == ["fail", "cut"]
    assert world.finish == "fail-fast"


def test_a_stop_is_obeyed_at_once_and_said_so() -> None:
    world = make({"a": Behaviour(60.0), "b": Behaviour(60.0)}, budget_s=100.0, stop_at_s=3.0)
    assert {event.outcome for event in attempts(world.run())} == {"cut"}
    assert world.finish == "stopped"
    assert world.now < 3.1


def test_the_worker_states_show_who_does_what() -> None:
    world = make({"a": Behaviour(60.0)}, workers=1)
    world.tell(Begin())
    (state,) = world.dispatcher.worker_states(4.0)
    assert (state.unit, state.since_s, state.busy_s, state.attempts) == ("a", 0.0, 4.0, 0)
    assert world.dispatcher.active == 1


def test_a_sample_goes_into_the_journal_with_the_number_of_active_workers() -> None:
    world = make({"a": Behaviour(60.0)}, workers=1)
    world.tell(Begin())
    world.tell(SampleTaken(50.0, 1000, 10, 0.5))
    assert world.journal[-1] == wire.Sample(0.0, 50.0, 1000, 1, 10, 0.5)


def test_only_attempts_of_a_later_pass_run_ahead_of_the_oldest_one() -> None:
    spawned: list[tuple[int, bool]] = []
    world = make({"slow": Behaviour(duration_s=3.0), "a": Behaviour(), "b": Behaviour()}, workers=2, passes=2)
    start = world.spawn
    world.spawn = lambda action: spawned.append((action.attempt.pass_number, action.ahead)) or start(action)  # type: ignore[method-assign, func-returns-value]
    world.run()
    assert (1, True) not in spawned
    assert (2, True) in spawned
