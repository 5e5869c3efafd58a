"""The pace follows what happens, and is forgotten when nothing does."""

from __future__ import annotations

import pytest

from sltfleet.runner.pace import Pace


@pytest.mark.parametrize("per_second", [1, 20, 2000])
def test_a_steady_pace_is_found_within_seconds(per_second: int) -> None:
    pace = Pace()
    for number in range(12 * per_second):
        pace.count(number / per_second)
    at_once, a_moment_later = pace.per_second(12.0 - 1 / per_second), pace.per_second(12.0)
    assert a_moment_later < per_second < at_once


def test_a_pace_is_forgotten_when_nothing_happens_any_more() -> None:
    pace = Pace()
    assert pace.per_second(0.0) == 0.0
    for number in range(100):
        pace.count(number / 100)
    assert pace.per_second(20.0) < 0.001
