from __future__ import annotations

import pytest
from bench.stealing import SPEEDS, WORKERS, durations_s, fleet_bound_s


@pytest.mark.parametrize(
    ("values", "hosts", "bound_s"),
    [
        ([4.0, 1.0], [(1.0, 0.0), (2.0, 0.0)], 2.0),  # the longest, on the fastest host
        ([1.0] * 12, [(1.0, 0.0), (2.0, 0.0)], 2.0),  # all work over all capacity
        ([1.0] * 12, [(1.0, 0.0), (1.0, 3.0)], 4.5),  # one of them is ready later
        ([1.0] * 4, [(1.0, 0.0), (1.0, 100.0)], 2.0),  # and one too late to be of any use
    ],
)
def test_no_schedule_is_shorter_than_the_bound(
    values: list[float], hosts: list[tuple[float, float]], bound_s: float
) -> None:
    assert fleet_bound_s(values, hosts, workers=2) == bound_s


def test_the_slowest_host_can_run_the_longest_unit_within_the_bound() -> None:
    values = list(durations_s().values())
    bound_s = fleet_bound_s(values, [(speed, 0.0) for speed in SPEEDS.values()], WORKERS)
    assert max(values) / min(SPEEDS.values()) < bound_s
    assert durations_s() == durations_s()
