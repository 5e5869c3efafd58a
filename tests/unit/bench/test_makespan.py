"""The lower bound of a makespan, and the simulated work stealing."""

from __future__ import annotations

from bench.makespan import durations_s, lower_bound_s, worksteal_s
from hypothesis import given
from hypothesis import strategies as st

DURATIONS = st.lists(st.floats(0.01, 10.0), min_size=1, max_size=60)


def test_the_lower_bound_is_the_longest_or_the_share_of_a_worker() -> None:
    assert lower_bound_s([4.0, 1.0, 1.0], 3) == 4.0
    assert lower_bound_s([2.0, 2.0, 2.0, 2.0], 2) == 4.0


@given(DURATIONS, st.integers(1, 9))
def test_work_stealing_takes_no_less_than_the_bound_and_no_more_than_one_worker(
    durations: list[float], workers: int
) -> None:
    makespan_s = worksteal_s(durations, workers)
    assert lower_bound_s(durations, workers) <= makespan_s * (1 + 1e-9)
    assert makespan_s <= sum(durations) * (1 + 1e-9)


def test_an_idle_worker_takes_half_of_the_longest_queue() -> None:
    # Without stealing 12 s: after 2 s the first worker is idle, two units of 4 s wait, and it takes one of them.
    assert worksteal_s([1.0, 0.5, 0.5, 4.0, 4.0, 4.0], 2) == 8.0


def test_the_durations_are_the_same_each_time_and_skewed() -> None:
    durations = durations_s()
    assert durations == durations_s()
    assert max(durations.values()) > 10 * sorted(durations.values())[len(durations) // 2]
