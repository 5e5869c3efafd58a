"""What a run learns of its units."""

from __future__ import annotations

import pytest

from sltfleet.runner.knowledge import Knowledge
from sltfleet.wire import events as wire
from sltfleet.wire.spec import Limits, UnitHistory

ADAPTIVE = Limits(timeout_s=300.0, timeout_factor=5.0, timeout_floor_s=10.0)


def ended(outcome: str, duration_s: float = 1.0, unit: str = "a", peak: int = 0) -> wire.AttemptFinished:
    rusage = wire.Rusage(max_rss_bytes=peak)
    return wire.AttemptFinished(0.0, 1, unit, 0, 1, 0, outcome, duration_s, rusage=rusage)


@pytest.mark.parametrize(
    ("history", "limit_s"),
    [
        (None, 300.0),
        (UnitHistory(2, 1.0), 300.0),
        (UnitHistory(2, 1.0, 1.0), 10.0),
        (UnitHistory(2, 1.0, 4.0), 20.0),
        (UnitHistory(2, 90.0, 90.0), 300.0),
        (UnitHistory(0, 4.0, 4.0, timeouts=1), 40.0),
        (UnitHistory(0, 4.0, 4.0, timeouts=2), 80.0),
    ],
)
def test_a_unit_may_take_a_multiple_of_its_longest_duration_between_floor_and_cap(
    history: UnitHistory | None, limit_s: float
) -> None:
    assert Knowledge({"a": history} if history else {}, ADAPTIVE).timeout_s("a") == limit_s


def test_without_a_factor_every_unit_may_take_the_same() -> None:
    assert Knowledge({"a": UnitHistory(2, 1.0, 1.0)}, Limits(timeout_s=7.0)).timeout_s("a") == 7.0


def test_a_timeout_is_learned_from_and_is_no_longest_duration() -> None:
    knowledge = Knowledge(limits=ADAPTIVE)
    knowledge.learn(ended("timeout", 300.0))
    assert knowledge.timeout_s("a") == 300.0
    knowledge.learn(ended("pass", 3.0))
    assert knowledge.timeout_s("a") == 15.0
    assert knowledge.timeouts("a") == 0


@pytest.mark.parametrize("outcome", ["cut", "infra"])
def test_what_has_no_verdict_tells_of_memory_only(outcome: str) -> None:
    knowledge = Knowledge()
    knowledge.learn(ended(outcome, 9.0, peak=70))
    assert knowledge.expected_s("a") is None
    assert knowledge.suspects(["a"]) == []
    assert knowledge.peak_bytes("a") == knowledge.least_peak_bytes == 70


def test_the_expected_duration_is_the_median_of_the_latest() -> None:
    knowledge = Knowledge({"a": UnitHistory(2, 100.0)})
    assert knowledge.expected_s("a") == 100.0
    for seconds in (2.0, 3.0, 50.0, 2.5, 3.5):
        knowledge.learn(ended("pass", seconds))
    assert knowledge.expected_s("a") == 3.0
    assert knowledge.fits("a", 3.4)
    assert not knowledge.fits("a", 3.1)


def test_a_unit_that_passes_again_after_a_failure_of_the_same_build_is_flaky() -> None:
    knowledge = Knowledge()
    knowledge.learn(ended("fail"))
    knowledge.learn(ended("pass"))
    assert knowledge.suspects(["a", "b"]) == ["a"]


def test_a_unit_that_failed_in_an_older_build_and_passes_now_is_mended() -> None:
    knowledge = Knowledge({"a": UnitHistory(0)})
    assert knowledge.suspects(["a"]) == ["a"]
    knowledge.learn(ended("pass"))
    assert knowledge.suspects(["a"]) == []


def test_so_many_timeouts_in_a_row_put_a_unit_into_quarantine_and_an_end_in_time_lets_it_out() -> None:
    knowledge = Knowledge({"a": UnitHistory(0, timeouts=1)}, Limits(quarantine_after=3))
    knowledge.learn(ended("timeout"))
    assert list(knowledge.quarantined) == []
    knowledge.learn(ended("timeout"))
    assert list(knowledge.quarantined) == ["a"]
    knowledge.learn(ended("fail"))
    assert list(knowledge.quarantined) == []


def test_what_takes_the_reference_a_second_takes_a_fast_host_less() -> None:
    knowledge = Knowledge({"a": UnitHistory(2, 8.0, 12.0)}, Limits(timeout_factor=10.0), speed=2.0)
    assert knowledge.expected_s("a") == 4.0
    assert knowledge.timeout_s("a") == 60.0
