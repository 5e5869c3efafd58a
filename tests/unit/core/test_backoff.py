from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.backoff import MAX_WAIT_S, POLL_INTERVAL_S, wait_s

CHANCES = st.floats(0, 1)
FAILURES = st.integers(1, 10_000)


@given(CHANCES)
def test_a_host_that_answers_is_asked_at_the_plain_interval(chance: float) -> None:
    assert wait_s(0, chance) == POLL_INTERVAL_S
    assert wait_s(0, chance, interval_s=0.25) == 0.25


def test_waits_double_with_each_failure_up_to_the_longest() -> None:
    assert [wait_s(failures, 1.0) for failures in range(1, 7)] == [2.0, 4.0, 8.0, 16.0, MAX_WAIT_S, MAX_WAIT_S]


@given(FAILURES, CHANCES)
def test_chance_takes_at_most_half_of_a_wait_away(failures: int, chance: float) -> None:
    longest = wait_s(failures, 1.0)
    assert longest / 2 <= wait_s(failures, chance) <= longest <= MAX_WAIT_S


@given(FAILURES, CHANCES)
def test_a_further_failure_never_shortens_the_wait(failures: int, chance: float) -> None:
    assert wait_s(failures, chance) <= wait_s(failures + 1, chance)
