from __future__ import annotations

import pytest

from sltfleet.core.summary import RunSummary, summarize
from sltfleet.core.timeline import timeline_of
from sltfleet.core.utilization import utilization
from tests.support.journals import JournalBuilder


def summary(*journals: JournalBuilder) -> RunSummary:
    hosts = [utilization(timeline_of(journal.events)) for journal in journals]
    return summarize(hosts, units_total=2, units_covered=1, cases_covered=3)


def test_hosts_of_different_size_count_by_their_worker_seconds_and_their_cores() -> None:
    big = JournalBuilder(workers=3, budget_s=100, cores=6)
    for worker in range(3):
        big.attempt(worker, "a.test", 0, 100)
    small = JournalBuilder(workers=1, budget_s=100, cores=2).attempt(0, "a.test", 0, 20)
    found = summary(big.sample(100, 80).pass_end(1, 50).finish(100), small.sample(100, 40).finish(100))
    assert found.occupancy == pytest.approx(320 / 400)
    assert found.cpu_mean_percent == pytest.approx((80 * 6 + 40 * 2) / 8)
    assert (found.workers, found.hosts, found.attempts) == (4, 2, 4)
    assert (found.passes_min, found.passes_max) == (0, 1)
    assert found.first_pass_s is None
    assert found.outcomes == {"pass": 4}


def test_one_host_that_goes_on_makes_the_elapsed_time_the_measure() -> None:
    ended = JournalBuilder().attempt(0, "a.test", 0, 100).finish(100)
    going = JournalBuilder().attempt(0, "a.test", 0, 10)
    assert summary(ended).basis == "budget"
    assert summary(ended, going).basis == "elapsed"


def test_the_first_pass_is_over_when_the_slowest_host_is_through() -> None:
    first = JournalBuilder().pass_end(1, 10).finish(100)
    second = JournalBuilder().pass_end(1, 30).finish(100)
    assert summary(first, second).first_pass_s == 30


def test_a_run_without_hosts_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one host"):
        summarize([], units_total=0, units_covered=0, cases_covered=0)


def test_a_host_that_has_no_unit_of_the_first_pass_does_not_hold_it_up() -> None:
    busy = JournalBuilder(share_units=2).attempt(0, "a.test", 0, 1).pass_end(1, 30)
    spare = JournalBuilder(share_units=0).attempt(0, "a.test", 0, 1, pass_number=2)
    assert summary(busy, spare).first_pass_s == 30
