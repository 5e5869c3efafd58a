"""The schedule at full size, on a simulated host: workers that take the next unit the moment they are free."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.runner.knowledge import MARGIN, Knowledge
from sltfleet.runner.passes import EXTRA_SHARE, QUARANTINE_EVERY
from sltfleet.runner.schedule import Assignment, PassScheduler
from sltfleet.wire.spec import Limits, UnitHistory
from tests.support.simulation import DURATIONS, Simulation, skewed


def known(durations: dict[str, float], **limits: int) -> Knowledge:
    """Knowledge of exactly these durations."""
    history = {unit: UnitHistory(2, seconds, seconds) for unit, seconds in durations.items()}
    return Knowledge(history, Limits(retry_weight=limits.get("retry_weight", 1)))


def lower_bound_s(durations: dict[str, float], workers: int) -> float:
    """No schedule of one pass can be shorter."""
    return max(max(durations.values()), sum(durations.values()) / workers)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_thousand_units_on_256_workers_are_covered_once_per_pass_by_workers_that_are_never_idle(seed: int) -> None:
    durations = skewed(10_000, seed)
    whole = Simulation(durations, 256, passes=3, seed=seed, knowledge=known(durations)).run()
    assert whole.counted() == Counter({(number, unit): 1 for number in (1, 2, 3) for unit in durations})
    assert sorted(whole.pass_ends) == [1, 2, 3]
    # Only when the last pass has nothing left does a worker get nothing.
    last_start_s = max(done.start_s for done in whole.done)
    assert all(at_s >= last_start_s for at_s, _ in whole.idle)


@pytest.mark.parametrize("workers", [8, 64, 256])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_pass_with_known_durations_takes_hardly_longer_than_any_schedule_must(seed: int, workers: int) -> None:
    durations = skewed(10_000, seed)
    run = Simulation(durations, workers, passes=1, seed=seed, knowledge=known(durations)).run()
    # Longest first is within 4/3 of the best schedule (Graham 1969); suites with many short units get much closer.
    assert run.pass_ends[1] <= 1.03 * lower_bound_s(durations, workers)


@given(DURATIONS, st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=60)
def test_the_first_pass_keeps_grahams_bound_though_workers_flow_into_the_next(
    durations: dict[str, float], workers: int, seed: int
) -> None:
    run = Simulation(durations, workers, passes=2, seed=seed, knowledge=known(durations)).run()
    longest_s, total_s = max(durations.values()), sum(durations.values())
    assert run.pass_ends[1] <= total_s / workers + longest_s * (1 - 1 / workers) + 1e-6


@given(
    DURATIONS,
    st.integers(1, 9),
    st.floats(0.5, 90.0),
    st.booleans(),
    st.integers(1, 4),
    st.dictionaries(st.integers(0, 39).map("u{}".format), st.sampled_from(["fail", "timeout"]), max_size=20),
)
@settings(max_examples=300)
def test_no_worker_is_ever_idle_and_nothing_is_counted_twice_whatever_units_do(
    durations: dict[str, float], workers: int, budget_s: float, history: bool, weight: int, outcomes: dict[str, str]
) -> None:
    knowledge = known(durations, retry_weight=weight) if history else Knowledge(limits=Limits(retry_weight=weight))
    run = Simulation(durations, workers, budget_s, None, 3, knowledge, outcomes).run()
    assert run.idle == []
    assert set(run.counted().values()) <= {1}
    busy: Counter[int] = Counter()
    for done in run.done:
        busy[done.worker] += round(1e6 * (done.end_s - done.start_s))
    assert all(abs(microseconds / 1e6 - budget_s) < 1e-3 for microseconds in busy.values())
    assert len(busy) == workers


@given(DURATIONS, st.integers(1, 6), st.floats(1.0, 60.0), st.integers(0, 9))
@settings(max_examples=60)
def test_the_same_seed_units_and_history_give_the_same_plan(
    durations: dict[str, float], workers: int, budget_s: float, seed: int
) -> None:
    plans = [
        Simulation(durations, workers, budget_s, seed=seed, knowledge=known(durations, retry_weight=3)).run().done
        for _ in range(2)
    ]
    assert plans[0] == plans[1]


def test_at_the_end_only_what_still_fits_is_started_as_long_as_there_is_such_a_unit() -> None:
    durations = {**{f"short{n}": 0.2 for n in range(54)}, **{f"long{n}": 3.0 for n in range(6)}}
    run = Simulation(durations, 16, 30.0, knowledge=known(durations)).run()
    assert run.idle == []
    late = [done for done in run.done if done.start_s > 30.0 - 3.0 * MARGIN]
    assert {done.assignment.unit[:4] for done in late if done.start_s < 30.0 - 0.2 * MARGIN} == {"shor"}
    cut_s = sum(done.end_s - done.start_s for done in run.done if done.cut and done.assignment.unit[:4] == "long")
    assert cut_s < 16 * 0.2 * MARGIN
    # Durations that are learned on the way serve as well as those of earlier runs.
    learned = Simulation(durations, 16, 30.0).run()
    assert sum(d.end_s - d.start_s for d in learned.done if d.cut) < 16 * 0.3


def test_when_nothing_fits_the_unit_with_the_best_chance_is_started() -> None:
    durations = {"a": 10.0, "b": 5.0, "c": 20.0}
    scheduler = PassScheduler(list(durations), 1, known(durations))
    chosen = [scheduler.next_unit(0, 0.0, 4.0) for _ in range(3)]
    assert [choice.unit for choice in chosen if isinstance(choice, Assignment)] == ["b", "a", "c"]


def test_a_unit_that_may_be_cut_is_tried_once_all_others_are_covered_but_not_one_without_a_chance() -> None:
    durations = {"short": 1.0, "doubtful": 12.0, "hopeless": 50.0}
    run = Simulation(durations, 2, 10.0, knowledge=known(durations)).run()
    assert [d.assignment.unit for d in run.done if d.cut and d.start_s == 0.0] == ["doubtful"]
    assert sum(d.assignment.unit == "short" for d in run.done) >= 9


def test_failing_and_flaky_units_come_round_more_often_without_delaying_the_first_pass() -> None:
    durations = {f"u{n}": 1.0 for n in range(100)}
    history = {unit: UnitHistory(2, 1.0, 1.0) for unit in durations} | {"u7": UnitHistory(2, 1.0, 1.0, flaky_rate=0.1)}
    knowledge = Knowledge(history, Limits(retry_weight=4))
    run = Simulation(durations, 10, 110.0, knowledge=knowledge, outcomes={"u3": "fail"}).run()
    attempts = Counter(done.assignment.unit for done in run.done if not done.cut)
    assert run.pass_ends[1] == 10.0
    assert attempts["u3"] > 3 * attempts["u50"] > 0
    assert attempts["u7"] > 3 * attempts["u50"]


def test_when_everything_fails_further_attempts_take_a_bounded_part_of_a_pass() -> None:
    durations = {f"u{n}": 1.0 for n in range(100)}
    run = Simulation(
        durations, 10, 200.0, knowledge=known(durations, retry_weight=9), outcomes=dict.fromkeys(durations, "fail")
    ).run()
    extra = sum(done.assignment.extra for done in run.done)
    assert 0 < extra <= EXTRA_SHARE * len(run.done)


def test_a_unit_that_hangs_again_and_again_is_run_rarely_and_by_one_worker_at_a_time() -> None:
    durations = {f"u{n}": 1.0 for n in range(100)} | {f"hung{n}": 20.0 for n in range(5)}
    outcomes = {f"hung{n}": "timeout" for n in range(5)}
    knowledge = Knowledge(limits=Limits(quarantine_after=3))
    run = Simulation(durations, 16, 3600.0, knowledge=knowledge, outcomes=outcomes).run()
    assert sorted(knowledge.quarantined) == sorted(outcomes)
    hung = sorted((d.start_s, d.end_s) for d in run.done if d.assignment.unit in outcomes and d.start_s > 600.0)
    assert hung
    assert all(first[1] <= second[0] for first, second in pairwise(hung))
    per_pass = Counter(d.assignment.pass_number for d in run.done if d.assignment.unit in outcomes and d.start_s > 600)
    assert all(number % QUARANTINE_EVERY == 0 for number in per_pass)


def test_units_that_hung_in_earlier_runs_come_last_in_the_first_pass_one_after_the_other() -> None:
    durations = {f"u{n}": 1.0 for n in range(40)} | {f"hung{n}": 9.0 for n in range(3)}
    history = {f"hung{n}": UnitHistory(0, 9.0, timeouts=3) for n in range(3)}
    outcomes = {f"hung{n}": "timeout" for n in range(3)}
    run = Simulation(durations, 8, 60.0, knowledge=Knowledge(history, Limits()), outcomes=outcomes).run()
    first = sorted((d.start_s, d.assignment.unit) for d in run.done if d.assignment.pass_number == 1)
    assert [unit[:4] for _, unit in first[-3:]] == ["hung"] * 3
    starts = [start_s for start_s, _ in first[-3:]]
    assert [later - earlier for earlier, later in pairwise(starts)] == [9.0, 9.0]
    assert run.pass_ends[1] == starts[-1] + 9.0


def test_a_unit_that_ends_in_time_again_leaves_quarantine() -> None:
    knowledge = Knowledge({"a": UnitHistory(0, timeouts=3), "b": UnitHistory(2)}, Limits())
    assert list(knowledge.quarantined) == ["a"]
    Simulation({"a": 1.0, "b": 1.0}, 1, passes=1, knowledge=knowledge).run()
    assert list(knowledge.quarantined) == []


def test_the_next_unit_is_found_in_no_time_however_many_there_are() -> None:
    durations = skewed(10_000, 5)
    # All but a handful do not fit from the start: the worst case for whoever looks for one that does.
    knowledge = known({unit: (seconds if seconds < 0.05 else 900.0) for unit, seconds in durations.items()})
    scheduler = PassScheduler(list(durations), 1, knowledge)
    started_s = time.process_time()
    for number in range(20_000):
        choice = scheduler.next_unit(0, 0.0, 60.0 - number / 1000)
        assert isinstance(choice, Assignment)
        scheduler.finished(choice)
    # 30 µs each on the slowest machine that was tried; quadratic behaviour would take minutes.
    assert time.process_time() - started_s < 10.0
