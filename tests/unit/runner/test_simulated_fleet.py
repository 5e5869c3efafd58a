"""Several hosts share the first pass: a simulation of each, since they do not speak to one another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.shards import shard_of
from sltfleet.wire.share import Member, Share
from sltfleet.wire.spec import Limits, UnitHistory
from tests.support.members import MEMBERS, lower_bound_s
from tests.support.simulation import DURATIONS, Simulation, skewed

LIMITS = Limits(retry_weight=1)


def fleet(
    durations: dict[str, float],
    members: tuple[Member, ...],
    *,
    budget_s: float = math.inf,
    passes: int | None = None,
    history: Mapping[str, UnitHistory] | None = None,
    dies_at_s: Mapping[str, float] | None = None,
) -> dict[str, Simulation]:
    """Run every host; `durations` are the reference's, and `history` what is known of them."""
    if history is None:
        history = {unit: UnitHistory(2, seconds, seconds) for unit, seconds in durations.items()}
    return {
        member.host: Simulation(
            {unit: seconds / member.speed for unit, seconds in durations.items()},
            member.workers,
            budget_s,
            passes,
            knowledge=Knowledge(history, LIMITS, member.speed),
            shard=shard_of(list(durations), Share(member.host, members), history, LIMITS),
            salt=member.host,
            dies_at_s=(dies_at_s or {}).get(member.host, math.inf),
        ).run()
        for member in members
    }


def first_pass_s(hosts: Mapping[str, Simulation]) -> float:
    return max(run.pass_ends.get(1, 0.0) for run in hosts.values())


def covered_at_s(hosts: Mapping[str, Simulation], units: Mapping[str, float]) -> float:
    """When the last unit had its first verdict, on whichever host; for ever where one has none."""
    first: dict[str, float] = {}
    for run in hosts.values():
        for done in run.done:
            if not done.cut:
                unit = done.assignment.unit
                first[unit] = min(done.end_s, first.get(unit, math.inf))
    return max((first.get(unit, math.inf) for unit in units), default=0.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_thousand_units_on_hosts_of_unequal_speed_are_covered_once_in_hardly_more_time_than_it_must_take(
    seed: int,
) -> None:
    durations = skewed(10_000, seed)
    members = (Member("a", 64, 1.0), Member("b", 32, 1.7), Member("c", 128, 0.6), Member("d", 32, 2.5))
    hosts = fleet(durations, members, passes=1)
    counted = sum((run.counted() for run in hosts.values()), Counter[tuple[int, str]]())
    assert counted == Counter({(1, unit): 1 for unit in durations})
    assert first_pass_s(hosts) <= 1.05 * lower_bound_s(durations, members)


@given(DURATIONS, MEMBERS, st.data())
@settings(max_examples=100)
def test_whichever_hosts_die_the_others_cover_every_unit_and_count_none_twice_in_a_pass(
    durations: dict[str, float], members: tuple[Member, ...], data: st.DataObject
) -> None:
    dying = data.draw(st.lists(st.sampled_from(members[1:]), unique=True)) if len(members) > 1 else []
    dies_at_s = {member.host: data.draw(st.floats(0.01, 30.0)) for member in dying}
    longest_s, slowest = max(durations.values()), min(member.speed for member in members)
    # Two passes of a single worker of the slowest host, and what does not fit any more.
    budget_s = (2 * sum(durations.values()) + 2 * longest_s) / slowest + 1.0
    hosts = fleet(durations, members, budget_s=budget_s, dies_at_s=dies_at_s)
    assert covered_at_s(hosts, durations) <= budget_s
    for host, run in hosts.items():
        assert set(run.counted().values()) <= {1}
        assert run.idle == [], host
    survivors = {host: run for host, run in hosts.items() if host not in dies_at_s}
    assert covered_at_s(survivors, durations) <= budget_s


def test_what_a_dead_host_had_is_the_next_thing_that_the_others_do() -> None:
    durations = {f"u{number:03}": 1.0 for number in range(400)}
    members = tuple(Member(f"h{number}", 10) for number in range(4))
    alive = covered_at_s(fleet(durations, members, budget_s=100.0), durations)
    hosts = fleet(durations, members, budget_s=100.0, dies_at_s={"h3": 0.5})
    assert alive == 10.0
    # After its own 100 units a host does the 300 of the others, shuffled: all are covered before it is through.
    assert 10.0 < covered_at_s(hosts, durations) <= 40.0
    assert sum(run.pass_ends[1] for host, run in hosts.items() if host != "h3") == 30.0


def test_after_their_first_pass_the_hosts_do_not_go_the_same_way() -> None:
    durations = {f"u{number:03}": 1.0 for number in range(100)}
    members = (Member("a", 5), Member("b", 5))
    hosts = fleet(durations, members, budget_s=60.0)
    later = [[done.assignment.unit for done in run.done if done.assignment.pass_number == 3] for run in hosts.values()]
    assert later[0] != later[1]
    seeds = [{done.assignment.seed for done in run.done if done.assignment.pass_number == 3} for run in hosts.values()]
    assert seeds[0].isdisjoint(seeds[1])


def test_every_host_begins_with_units_that_failed_before() -> None:
    durations = {f"u{number:03}": 1.0 + number % 5 for number in range(200)}
    failed = set(list(durations)[::20])
    history = {unit: UnitHistory(0 if unit in failed else 2, seconds, seconds) for unit, seconds in durations.items()}
    members = (Member("a", 2), Member("b", 2, 2.0), Member("c", 4))
    for host, run in fleet(durations, members, budget_s=99.0, history=history).items():
        started = sorted(run.done, key=lambda done: done.start_s)
        mine = [done.assignment.unit for done in started if done.assignment.pass_number == 1]
        count = len(failed & set(mine))
        assert count > 0, host
        assert set(mine[:count]) <= failed
