from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.timeline import timeline_of
from sltfleet.core.utilization import Utilization, utilization
from sltfleet.wire.events import AttemptFinished, Note
from tests.support.journals import JournalBuilder


def numbers(journal: JournalBuilder) -> Utilization:
    return utilization(timeline_of(journal.events))


def test_occupancy_is_busy_worker_seconds_over_workers_times_budget() -> None:
    journal = JournalBuilder(workers=2, budget_s=100)
    journal.attempt(0, "a.test", 0, 60).attempt(1, "b.test", 10, 30).finish(60, "once")
    found = numbers(journal)
    assert (found.basis, found.span_s, found.busy_s) == ("budget", 100, 80)
    assert found.occupancy == pytest.approx(0.4)
    assert found.active_mean == pytest.approx(0.8)


def test_a_run_that_goes_on_is_measured_by_the_elapsed_time_and_says_so() -> None:
    journal = JournalBuilder(workers=2, budget_s=100).attempt(0, "a.test", 0, 20)
    journal.start(1, "b.test", 5)
    found = numbers(journal.sample(25))
    assert (found.basis, found.span_s, found.reason) == ("elapsed", 25, None)
    assert found.busy_s == pytest.approx(20 + 20)


def test_a_run_that_was_resumed_is_one_run_and_the_time_in_between_is_none_of_it() -> None:
    journal = JournalBuilder(workers=1, budget_s=100).attempt(0, "a.test", 0, 20).attempt(0, "b.test", 20, 30, "cut")
    journal.leave(0, 30, "stopped").finish(30, "stopped").resume(30)
    assert numbers(journal).reason is None
    found = numbers(journal.attempt(0, "b.test", 30, 100).leave(0, 100).finish(100))
    assert (found.basis, found.reason, found.busy_s, found.occupancy, found.problems) == (
        "budget",
        "budget",
        100,
        1,
        (),
    )
    assert found.per_worker[0].lifetime_s == 100


@pytest.mark.parametrize("reason", ["stopped", "fail-fast", "passes"])
def test_a_run_that_was_not_to_use_its_budget_up_is_measured_by_the_elapsed_time(reason: str) -> None:
    found = numbers(JournalBuilder(workers=1).attempt(0, "a.test", 0, 20).finish(20, reason))
    assert (found.basis, found.occupancy) == ("elapsed", 1.0)


def test_an_attempt_counts_up_to_the_end_of_the_budget_only() -> None:
    journal = JournalBuilder(workers=1, budget_s=100).attempt(0, "a.test", 90, 101.5, "cut").finish(101.5)
    assert numbers(journal).busy_s == pytest.approx(10)


def test_an_attempt_that_could_not_be_started_keeps_no_worker_busy() -> None:
    found = numbers(JournalBuilder(workers=1).attempt(0, "a.test", 10, 20, "infra").finish(100))
    assert (found.busy_s, found.attempts, found.verdicts, found.outcomes) == (0, 1, 0, {"infra": 1})


def test_two_attempts_of_one_worker_at_once_are_reported_and_counted_once() -> None:
    journal = JournalBuilder(workers=1).attempt(0, "a.test", 0, 10).attempt(0, "b.test", 6, 12).finish(100)
    found = numbers(journal)
    assert found.busy_s == pytest.approx(12)
    assert found.problems == ("worker 0: attempts 1 and 2 overlap by 4.000 s",)


def test_tests_that_share_a_process_and_have_no_end_yet_are_nothing_to_report_and_count_once() -> None:
    journal = JournalBuilder(workers=1)
    journal.start(0, "a.test", 5)
    journal.start(0, "b.test", 5)
    found = numbers(journal.sample(9))
    assert found.busy_s == pytest.approx(4)
    assert found.problems == ()


def test_a_worker_that_the_run_does_not_have_is_reported_and_not_counted() -> None:
    found = numbers(JournalBuilder(workers=1).attempt(7, "a.test", 0, 10).finish(100))
    assert found.busy_s == 0
    assert "worker 7 is none of the 1" in found.problems[0]


def test_an_attempt_without_an_end_in_a_run_with_one_is_reported() -> None:
    journal = JournalBuilder(workers=1)
    journal.start(0, "a.test", 5)
    assert numbers(journal.finish(100)).problems == ("attempt 1 of worker 0 has no end, and the run has one",)


def test_of_two_ends_of_one_attempt_the_first_counts() -> None:
    journal = JournalBuilder(workers=1).attempt(0, "a.test", 0, 10)
    first = journal.events[-1]
    assert isinstance(first, AttemptFinished)
    journal.events.append(AttemptFinished(50, 1, "a.test", 0, 1, 7, "fail", 50))
    assert numbers(journal.finish(100)).outcomes == {"pass": 1}


def test_the_median_of_active_workers_is_weighted_by_time() -> None:
    journal = JournalBuilder(workers=3, budget_s=100)
    for worker in range(3):
        journal.attempt(worker, "a.test", 0, 30)
    found = numbers(journal.attempt(0, "b.test", 30, 100).finish(100))
    assert found.active_median == 1
    assert found.active_mean == pytest.approx(1.6)


def test_samples_are_weighted_by_the_time_since_the_one_before_and_end_with_the_budget() -> None:
    journal = JournalBuilder(budget_s=10).sample(1, 100).sample(5, 50).sample(12, 3)
    found = numbers(journal.finish(12))
    assert found.cpu_mean_percent == pytest.approx((100 + 4 * 50) / 5)
    assert (found.cpu_max_percent, found.sampled_s) == (100, 5)


def test_without_samples_the_cpu_is_unknown_not_zero() -> None:
    found = numbers(JournalBuilder().finish(100))
    assert (found.cpu_mean_percent, found.cpu_max_percent, found.memory_available_min_bytes) == (None, None, None)


def test_the_tests_own_cpu_time_is_measured_against_all_cores_over_the_whole_span() -> None:
    journal = JournalBuilder(workers=1, budget_s=100, cores=2).attempt(0, "a.test", 0, 30, cpu_s=30).finish(30, "once")
    assert numbers(journal).tests_cpu_percent == pytest.approx(15)


def test_lifetimes_attempts_and_distinct_units_are_told_per_worker() -> None:
    journal = JournalBuilder(workers=2, budget_s=100)
    journal.attempt(0, "a.test", 0, 10).attempt(0, "b.test", 10, 20).attempt(0, "a.test", 20, 30).leave(0, 30, "once")
    found = numbers(journal.attempt(1, "b.test", 0, 99).leave(1, 101).finish(101, "once"))
    assert [(w.lifetime_s, w.attempts, w.units) for w in found.per_worker] == [(30, 3, 2), (100, 1, 1)]
    assert (found.lifetime_min_s, found.lifetime_median_s) == (30, 65)
    assert (found.attempts_per_worker, found.units_per_worker) == (2, 1.5)


def test_coverage_counts_units_with_a_verdict_and_a_cut_is_none() -> None:
    journal = JournalBuilder(workers=1, units=("a.test", "b.test", "c.test"))
    journal.attempt(0, "a.test", 0, 1, "fail").attempt(0, "b.test", 1, 2, "cut").attempt(0, "a.test", 2, 3)
    found = numbers(journal.pass_end(1, 3).finish(100))
    assert (found.units_covered, found.units_total, found.passes, found.first_pass_s) == (1, 3, 1, 3)
    assert found.verdicts_per_worker_hour == pytest.approx(2 / 100 * 3600)


def test_pauses_are_measured_between_the_attempts_of_one_worker() -> None:
    journal = JournalBuilder(workers=1, budget_s=100)
    journal.attempt(0, "a.test", 2, 10).attempt(0, "b.test", 11, 20).attempt(0, "a.test", 25, 90)
    found = numbers(journal.finish(100))
    assert (found.gaps.count, found.gaps.median_s, found.gaps.max_s) == (2, 3, 5)
    assert (found.idle.before_first_s, found.idle.between_s, found.idle.after_last_s) == (2, 6, 10)


def test_a_journal_must_begin_with_the_run() -> None:
    with pytest.raises(ValueError, match="run-started"):
        timeline_of([Note(0, "hello")])


@given(
    workers=st.integers(1, 5),
    attempts=st.lists(st.tuples(st.integers(0, 6), st.floats(0, 120), st.floats(0, 50)), max_size=30),
    reason=st.sampled_from([None, "budget", "once", "stopped"]),
)
def test_busy_and_idle_are_the_whole_span_whatever_a_journal_says(
    workers: int, attempts: list[tuple[int, float, float]], reason: str | None
) -> None:
    journal = JournalBuilder(workers=workers, budget_s=100)
    for worker, start_s, length_s in attempts:
        journal.attempt(worker, "a.test", start_s, start_s + length_s)
    if reason is not None:
        journal.finish(130, reason)
    found = numbers(journal)
    idle_s = found.idle.before_first_s + found.idle.between_s + found.idle.after_last_s
    assert found.busy_s + idle_s == pytest.approx(workers * found.span_s)
    assert 0 <= found.occupancy <= 1 + 1e-9
    assert 0 <= found.active_median <= workers
    assert sum(worker.busy_s for worker in found.per_worker) == pytest.approx(found.busy_s)


@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=20))
def test_a_worker_that_never_pauses_is_fully_occupied_and_nothing_is_wrong(lengths: list[float]) -> None:
    journal = JournalBuilder(workers=1, budget_s=sum(lengths))
    at_s = 0.0
    for length_s in lengths:
        journal.attempt(0, "a.test", at_s, at_s + length_s)
        at_s += length_s
    found = numbers(journal.finish(sum(lengths)))
    assert found.occupancy == pytest.approx(1)
    assert found.problems == ()
