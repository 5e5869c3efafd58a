"""How the units of the first pass are dealt out to the hosts."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.runner.shards import deal, shard_of
from sltfleet.wire.share import Member, Share
from sltfleet.wire.spec import Limits, UnitHistory
from tests.support.members import MEMBERS, lower_bound_s

LIMITS = Limits()

#: Durations of units, None where nobody knows.
DURATIONS = st.lists(st.none() | st.sampled_from([0.1, 0.3, 1.0, 2.5, 7.0, 40.0]), min_size=1, max_size=60).map(
    lambda seconds: {f"u{number:02}": duration for number, duration in enumerate(seconds)}
)


def history_of(durations: dict[str, float | None], rank: int = 2) -> dict[str, UnitHistory]:
    return {unit: UnitHistory(rank, seconds) for unit, seconds in durations.items() if seconds is not None}


def shares(members: tuple[Member, ...]) -> list[Share]:
    return [Share(member.host, members) for member in members]


def host_makespan_s(seconds: list[float], workers: int) -> float:
    """When a host is over with units that its workers take in this order."""
    free_s = [0.0] * workers
    for duration in seconds:
        heapq.heapreplace(free_s, free_s[0] + duration)
    return max(free_s)


def makespan_s(durations: dict[str, float], members: tuple[Member, ...]) -> float:
    """When all hosts are over with their shares, each longest first."""
    dealt = deal(list(durations), members, history_of(dict(durations)), LIMITS)
    return max(
        host_makespan_s(
            sorted(
                (durations[unit] / member.speed for unit, host in dealt.items() if host == member.host), reverse=True
            ),
            member.workers,
        )
        for member in members
    )


@given(DURATIONS, MEMBERS, st.sampled_from([0, 1, 2]))
def test_every_unit_is_in_the_share_of_exactly_one_host(
    durations: dict[str, float | None], members: tuple[Member, ...], rank: int
) -> None:
    units = list(durations)
    parts = [shard_of(units, share, history_of(durations, rank), LIMITS) for share in shares(members)]
    assert sorted(unit for part in parts for unit in part) == units
    assert all(part == sorted(part) for part in parts)


@given(DURATIONS, MEMBERS, st.data())
def test_all_hosts_come_to_the_same_answer_whatever_the_order_of_their_units(
    durations: dict[str, float | None], members: tuple[Member, ...], data: st.DataObject
) -> None:
    units = list(durations)
    other = data.draw(st.permutations(units))
    history = history_of(durations)
    reordered = dict(reversed(list(history.items())))
    assert deal(units, members, history, LIMITS) == deal(other, members, reordered, LIMITS)


@given(DURATIONS, MEMBERS)
def test_the_first_pass_takes_at_most_twice_as_long_as_any_schedule_must(
    durations: dict[str, float | None], members: tuple[Member, ...]
) -> None:
    known = {unit: seconds or 1.0 for unit, seconds in durations.items()}
    # Longest first on uniform machines is within 2m/(m+1) of the best schedule (Gonzalez, Ibarra and Sahni 1977). The
    # bound here is below the best, by as much as one unit that does not fit.
    longest_s = max(known.values()) / max(member.speed for member in members)
    assert makespan_s(known, members) <= 2 * (lower_bound_s(known, members) + longest_s)


@pytest.mark.parametrize("seed", range(5))
def test_a_suite_of_many_units_comes_very_close_to_what_any_schedule_must_take(seed: int) -> None:
    source = random.Random(seed)
    durations = {f"{n:04}": source.lognormvariate(0.0, 1.2) + 0.001 for n in range(2000)}
    members = (Member("a", 16, 1.0), Member("b", 8, 2.0), Member("c", 4, 0.5), Member("d", 64, 1.3))
    assert makespan_s(durations, members) <= 1.03 * lower_bound_s(durations, members)


def test_one_host_gets_everything() -> None:
    units = ["a", "b", "c"]
    assert shard_of(units, Share("h", (Member("h", 2),)), {}, LIMITS) == units


def test_where_there_are_more_hosts_than_units_some_get_nothing() -> None:
    members = tuple(Member(f"h{n}", 4) for n in range(5))
    parts = [shard_of(["a", "b"], share, {}, LIMITS) for share in shares(members)]
    assert sorted(map(len, parts)) == [0, 0, 0, 1, 1]


def test_a_host_gets_units_by_its_workers_and_its_speed() -> None:
    units = [f"u{n:03}" for n in range(120)]
    members = (Member("slow", 4, 1.0), Member("fast", 4, 2.0), Member("big", 12, 1.0))
    assert Counter(deal(units, members, {}, LIMITS).values()) == {"slow": 20, "fast": 40, "big": 60}


def test_every_host_begins_with_its_part_of_the_units_that_failed_before() -> None:
    units = [f"u{n:03}" for n in range(300)]
    history = {unit: UnitHistory(0 if n % 50 == 0 else 2, 1.0 + n % 7) for n, unit in enumerate(units) if n % 3}
    history |= {unit: UnitHistory(0, 1.0) for unit in units[:6]}
    members = tuple(Member(f"h{n}", 16) for n in range(3))
    dealt = deal(units, members, history, LIMITS)
    failed = Counter(dealt[unit] for unit, known in history.items() if known.rank == 0)
    assert len(failed) == 3
    assert max(failed.values()) - min(failed.values()) <= 1


def test_a_unit_of_which_nobody_knows_counts_as_much_as_the_others_do_on_average() -> None:
    members = (Member("h0", 1), Member("h1", 1))
    history = {"known": UnitHistory(2, 8.0), "other": UnitHistory(2, 2.0)}
    # Of the untested, which go first, two take 5 s each; then the longer known one, then the shorter one.
    dealt = deal(["x", "y", "z", "known", "other"], members, history, LIMITS)
    assert [sum(host == name for host in (dealt[unit] for unit in "xyz")) for name in ("h0", "h1")] == [2, 1]
    assert (dealt["known"], dealt["other"]) == ("h1", "h0")


def test_what_hung_before_is_spread_over_the_hosts_since_each_runs_one_of_them_at_a_time() -> None:
    units = [f"u{n}" for n in range(40)] + [f"hung{n}" for n in range(4)]
    history = {f"hung{n}": UnitHistory(0, 300.0, timeouts=LIMITS.quarantine_after) for n in range(4)}
    history |= {f"u{n}": UnitHistory(2, 1.0) for n in range(40)}
    members = (Member("a", 16), Member("b", 4))
    dealt = deal(units, members, history, LIMITS)
    assert Counter(host for unit, host in dealt.items() if unit.startswith("hung")) == {"a": 2, "b": 2}


def test_the_limits_decide_what_counts_as_hung() -> None:
    history = {unit: UnitHistory(0, 300.0, timeouts=3) for unit in ("a", "b")}
    members = (Member("h0", 8), Member("h1", 1, 0.01))
    patient = replace(LIMITS, quarantine_after=9)
    assert set(deal(["a", "b"], members, history, patient).values()) == {"h0"}
