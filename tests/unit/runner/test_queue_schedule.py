"""Hosts that share a queue, simulated with the network between them: what dies, is cut off, or is forgotten."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.queue_schedule import PATIENCE_S, OwnAssignment
from sltfleet.wire import events as wire
from sltfleet.wire.spec import Limits, UnitHistory
from tests.support.queue_fleet import Fleet
from tests.support.simulation import skewed

#: What a worker may wait at most, also where the queue has just been lost: the patience, and the turn of the loop.
MOST_IDLE_S = PATIENCE_S + 0.1

SPEEDS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.5, 1.0, 2.0])), min_size=2, max_size=4).map(
    lambda hosts: {f"h{number}": host for number, host in enumerate(hosts)}
)
#: When a host is cut off, and for how long; when one dies.
CUTS = st.lists(st.tuples(st.integers(0, 3), st.floats(0.0, 20.0), st.floats(0.5, 20.0)), max_size=4)
DEATHS = st.lists(st.tuples(st.integers(1, 3), st.floats(0.0, 20.0)), max_size=2)
DURATIONS = st.lists(st.sampled_from([0.3, 1.0, 2.5, 7.0, 15.0]), min_size=1, max_size=24).map(
    lambda seconds: {f"u{number}": duration for number, duration in enumerate(seconds)}
)


def knowing(durations: dict[str, float], speed: float) -> Knowledge:
    history = {unit: UnitHistory(2, seconds / speed, seconds / speed) for unit, seconds in durations.items()}
    return Knowledge(history, Limits(retry_weight=1))


def harm(fleet: Fleet, cuts: list[tuple[int, float, float]], deaths: list[tuple[int, float]]) -> Fleet:
    names = list(fleet.hosts)
    for number, from_s, seconds in cuts:
        name = names[number % len(names)]
        fleet.at(from_s, lambda name=name: fleet.connect(name, False))  # type: ignore[misc]
        fleet.at(from_s + seconds, lambda name=name: fleet.connect(name, True))  # type: ignore[misc]
    for number, at_s in deaths:
        if number < len(names):
            fleet.at(at_s, lambda name=names[number]: fleet.kill(name))  # type: ignore[misc]
    return fleet


def test_ten_thousand_units_on_four_unequal_hosts_are_run_once_each_in_hardly_more_than_the_least_time() -> None:
    durations = skewed(10_000, 1)
    speeds = {"a": (16, 1.0), "b": (8, 2.0), "c": (32, 0.5), "d": (8, 1.0)}
    fleet = Fleet(durations, speeds, passes=1, knowledge=lambda speed: knowing(durations, speed)).run()
    assert Counter(ran.assignment.unit for ran in fleet.ran) == Counter(dict.fromkeys(durations, 1))
    assert fleet.counted() == {(1, unit): 1 for unit in durations}
    power = sum(workers * speed for workers, speed in speeds.values())
    bound_s = max(max(durations.values()) / 2.0, sum(durations.values()) / power)
    assert max(ran.end_s for ran in fleet.ran) <= 1.01 * bound_s
    # Two hosts that ask at once for the first time, and a few round trips when more workers end at once than foreseen.
    assert max(to_s - from_s for from_s, to_s in fleet.gaps) < 0.02
    assert sum(to_s - from_s for from_s, to_s in fleet.gaps) < 0.001 * 64 * bound_s
    assert all(host.scheduler.passes_finished == 1 for host in fleet.hosts.values())


def test_what_a_killed_host_held_is_run_by_the_others_when_its_lease_is_over() -> None:
    durations = skewed(2_000, 2)
    fleet = Fleet(durations, {"a": (8, 1.0), "b": (8, 1.0), "c": (8, 1.0)}, passes=1)
    fleet.at(20.0, lambda: fleet.kill("b"))
    fleet.run()
    assert set(fleet.server.counted.values()) == {1}
    assert len(fleet.server.counted) == 2_000
    assert set(fleet.counted().values()) == {1}
    # Of the killed host's verdicts one exchange at most is counted and not in its journal.
    assert len(fleet.counted()) >= 2_000 - 8
    # Nothing ran twice but what the killed host had finished and not told.
    assert len(fleet.ran) <= 2_000 + 8


@given(DURATIONS, SPEEDS, CUTS, DEATHS, st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=30)
def test_every_unit_is_counted_exactly_once_per_pass_whoever_dies_or_is_cut_off(
    durations: dict[str, float],
    speeds: dict[str, tuple[int, float]],
    cuts: list[tuple[int, float, float]],
    deaths: list[tuple[int, float]],
    passes: int,
    seed: int,
) -> None:
    fleet = Fleet(durations, speeds, passes=passes, seed=seed, lease_s=6.0)
    harm(fleet, [cut for cut in cuts if cut[0] % len(speeds)], deaths).run()
    # The first host stays: what nobody could tell the queue nobody could count.
    everything = {(number, unit) for number in range(1, passes + 1) for unit in durations}
    done = {(ran.assignment.pass_number, ran.assignment.unit) for ran in fleet.ran if not ran.assignment.extra}
    assert done >= everything
    assert set(fleet.counted().values()) <= {1}
    for host in fleet.hosts.values():
        fleet.connect(host.name, True)
    fleet._goodbye()
    indices = {unit: place for place, unit in enumerate(sorted(durations))}
    (epoch,) = {epoch for epoch, _, _ in fleet.server.counted}
    assert fleet.server.counted == {(epoch, number, indices[unit]): 1 for number, unit in everything}
    if all(host.up for host in fleet.hosts.values()):
        assert fleet.counted() == dict.fromkeys(everything, 1)


@given(DURATIONS, SPEEDS, CUTS, DEATHS, st.floats(5.0, 30.0), st.booleans())
@settings(max_examples=30)
def test_no_worker_is_idle_until_the_budget_ends_whatever_becomes_of_the_queue(
    durations: dict[str, float],
    speeds: dict[str, tuple[int, float]],
    cuts: list[tuple[int, float, float]],
    deaths: list[tuple[int, float]],
    budget_s: float,
    history: bool,
) -> None:
    knows = (lambda speed: knowing(durations, speed)) if history else None
    fleet = harm(Fleet(durations, speeds, budget_s=budget_s, lease_s=6.0, knowledge=knows), cuts, deaths).run()
    assert max((to_s - from_s for from_s, to_s in fleet.gaps), default=0.0) <= MOST_IDLE_S
    # Who waits at the very end has not waited for long.
    waiting = [since_s for host in fleet.hosts.values() if host.up for since_s in host.free_since.values()]
    assert all(budget_s - since_s <= MOST_IDLE_S for since_s in waiting)
    assert set(fleet.counted().values()) <= {1}


@given(DURATIONS, SPEEDS, st.lists(st.floats(1.0, 50.0), min_size=1, max_size=2), st.integers(0, 9))
@settings(max_examples=30)
def test_a_queue_that_has_forgotten_everything_is_made_anew_with_passes_that_nobody_has_seen(
    durations: dict[str, float], speeds: dict[str, tuple[int, float]], restarts: list[float], seed: int
) -> None:
    fleet = Fleet(durations, speeds, budget_s=80.0, lease_s=6.0, seed=seed)
    for at_s in restarts:
        fleet.at(at_s, fleet.server.restart)
    fleet.run()
    assert set(fleet.counted().values()) <= {1}
    assert max((to_s - from_s for from_s, to_s in fleet.gaps), default=0.0) <= MOST_IDLE_S
    if max(restarts) < 70.0:
        assert all(host.scheduler.trouble == "" for host in fleet.hosts.values())


@given(DURATIONS, SPEEDS, DEATHS, st.none() | st.floats(0.0, 30.0), st.none() | st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_runners_that_are_lost_and_resumed_cover_everything_and_count_nothing_twice(
    durations: dict[str, float],
    speeds: dict[str, tuple[int, float]],
    deaths: list[tuple[int, float]],
    blackout_s: float | None,
    passes: int | None,
) -> None:
    """In the blackout all runners and the queue are lost at once."""
    fleet = Fleet(durations, speeds, passes=passes, budget_s=400.0, lease_s=6.0)
    for number, at_s in deaths:
        name = list(speeds)[number % len(speeds)]
        fleet.at(at_s, lambda name=name: fleet.resume(name))  # type: ignore[misc]
    if blackout_s is not None:
        fleet.at(blackout_s, fleet.server.restart)
        for name in speeds:
            fleet.at(blackout_s, lambda name=name: fleet.resume(name))  # type: ignore[misc]
    fleet.run()
    assert set(fleet.counted().values()) <= {1}
    done = {(ran.assignment.pass_number, ran.assignment.unit) for ran in fleet.ran}
    assert {unit for _, unit in done} == set(durations)  # a queue made anew gives up the passes under way
    assert done >= {(number, unit) for number in range(1, (passes or 0) + 1) for unit in durations}
    for host in fleet.hosts.values():
        over = [event.pass_number for event in host.events if isinstance(event, wire.PassFinished)]
        assert len(set(over)) == len(over) == host.scheduler.passes_finished
        assert blackout_s is not None or passes is None or len(over) == passes


@given(DURATIONS, SPEEDS, st.floats(0.0, 30.0), st.integers(1, 2))
@settings(max_examples=25)
def test_with_a_number_of_passes_the_hosts_finish_them_by_themselves_when_the_queue_has_forgotten_them(
    durations: dict[str, float], speeds: dict[str, tuple[int, float]], at_s: float, passes: int
) -> None:
    fleet = Fleet(durations, speeds, passes=passes, lease_s=6.0)
    fleet.at(at_s, fleet.server.restart)
    fleet.run()
    done = {(ran.assignment.pass_number, ran.assignment.unit) for ran in fleet.ran}
    assert done >= {(number, unit) for number in range(1, passes + 1) for unit in durations}
    assert set(fleet.counted().values()) <= {1}


def test_a_host_that_was_cut_off_says_so_works_on_its_shard_and_comes_back() -> None:
    durations = {f"u{number:03}": 1.0 for number in range(400)}
    fleet = Fleet(durations, {"a": (2, 1.0), "b": (2, 1.0)}, passes=1, lease_s=6.0)
    fleet.at(10.0, lambda: fleet.connect("b", False))
    fleet.at(50.0, lambda: fleet.connect("b", True))
    fleet.run()
    lost, back = fleet.notes("b")
    assert lost.startswith("the queue is out of reach since 1")
    assert lost.endswith("working on its own shard (timed out)")
    assert back.startswith("the queue is back after ")
    assert fleet.notes("a") == []
    own = [ran for ran in fleet.ran if isinstance(ran.assignment, OwnAssignment)]
    assert {ran.host for ran in own} == {"b"}
    shard = set(sorted(durations)[1::2])
    assert {ran.assignment.unit for ran in own} <= shard
    assert fleet.counted() == {(1, unit): 1 for unit in durations}
    # While it was away the two did not know of each other: no more than that is done twice.
    assert len(fleet.ran) <= 400 + 2 * 42


# --- one host, word for word -----------------------------------------------------------------------------------------
