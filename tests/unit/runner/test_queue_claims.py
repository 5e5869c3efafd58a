"""How many units a host claims ahead, and which of its claims comes next."""

from __future__ import annotations

import pytest

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Entry
from sltfleet.runner.queue_claims import Claim, Claims, claims_ahead
from sltfleet.runner.schedule import everything
from sltfleet.wire.spec import UnitHistory


@pytest.mark.parametrize(
    ("pace", "latency_s", "left", "ahead"),
    [
        pytest.param(0.0, 0.0, None, 8, id="one-for-each-worker-where-more-will-come"),
        pytest.param(2000.0, 0.001, None, 200, id="short-units-are-claimed-for-a-while"),
        pytest.param(100.0, 0.5, None, 200, id="a-slow-queue-is-asked-for-more"),
        pytest.param(0.0, 0.0, 16, 4, id="half-a-share-of-what-is-left"),
        pytest.param(0.0, 0.0, 0, 1, id="at-least-one"),
    ],
)
def test_claims_ahead_follow_pace_latency_and_what_is_left(
    pace: float, latency_s: float, left: int | None, ahead: int
) -> None:
    assert claims_ahead(pace, latency_s, 8, 16, left) == ahead


def test_claims_of_an_older_pass_come_before_those_of_a_newer_one() -> None:
    claims = Claims(Knowledge(), 2)
    claims.add(Claim(3, Entry("b")))
    claims.add(Claim(2, Entry("a")))
    assert claims.take(10.0, everything) == Claim(2, Entry("a"))
    assert claims.take(10.0, everything) == Claim(3, Entry("b"))
    assert claims.take(10.0, everything) is None


def test_what_a_host_runs_holds_or_has_set_aside_of_a_pass_is_its_own_until_it_is_dropped() -> None:
    claims = Claims(Knowledge({"long": UnitHistory(rank=1, expected_s=50.0)}), 4)
    claims.started(2, "runs")
    for unit in ("long", "next", "waits"):
        claims.add(Claim(2, Entry(unit)))
    claims.add(Claim(3, Entry("later")))
    assert claims.take(10.0, everything) == Claim(2, Entry("next"))
    assert claims.units_of(2) == {"runs", "long", "waits"}
    claims.drop()
    assert claims.units_of(2) == {"runs"}
    assert not len(claims)
