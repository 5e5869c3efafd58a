"""Hosts that share a queue, simulated with the network between them: what dies, is cut off, or is forgotten."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Progress
from sltfleet.runner.queue_messages import Answer, Exchange, NewPass
from sltfleet.runner.queue_schedule import PATIENCE_S, OwnAssignment, QueueScheduler
from sltfleet.runner.schedule import START_TRIES, Assignment, Wait
from sltfleet.wire import events as wire
from sltfleet.wire.spec import Limits, UnitHistory
from tests.support.queue_fleet import ONE_WAY_S, Fleet
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


def answered(scheduler: QueueScheduler, now: float = 0.0, **told: object) -> list[wire.Event]:
    """Answer the request under way."""
    sent = scheduler.in_flight
    assert sent is not None
    answer = {"epoch": "e", "gathering": False, "lost": False, "counted": (), "claims": (), "newest": 1, "oldest": 1}
    answer |= {"over": (), "covered": 0, "opens": False} | told
    return scheduler.told(Answer(sent.number, **answer), now)  # type: ignore[arg-type]


def take(scheduler: QueueScheduler, now: float = 0.0, remaining_s: float = 100.0) -> Assignment:
    choice = scheduler.next_unit(0, now, remaining_s)
    assert isinstance(choice, Assignment)
    return choice


def asked(scheduler: QueueScheduler, now: float = 0.0) -> Exchange:
    exchange = scheduler.request(now)
    assert exchange is not None
    return exchange


def test_the_first_host_opens_the_first_pass_longest_first() -> None:
    knowledge = Knowledge({"a": UnitHistory(2, 1.0), "b": UnitHistory(2, 9.0), "c": UnitHistory(0, 2.0)})
    scheduler = QueueScheduler(["c", "b", "a"], 1, knowledge, workers=2)
    assert [isinstance(scheduler.next_unit(worker, 0.0, 100.0), Wait) for worker in (0, 1)] == [True, True]
    first = asked(scheduler)
    assert (first.want, first.fresh, first.opens) == (3, True, None)
    assert scheduler.request(0.1) is None  # one at a time
    answered(scheduler, newest=0, opens=True)
    assert asked(scheduler).opens == NewPass(1, (2, 1, 0), whole=True)


def test_a_unit_that_cannot_be_started_goes_back_and_is_given_up_in_the_end() -> None:
    scheduler = QueueScheduler(["a", "b"], 1)
    for attempt in range(START_TRIES):
        asked(scheduler, attempt)
        answered(scheduler, attempt, claims=((1, 0),))
        assert scheduler.not_started(take(scheduler)) == ()
    last = asked(scheduler, 10.0)
    assert (last.settle, last.back) == (((1, 0),), ())
    assert answered(scheduler, counted=(True,)) == []  # done, and nobody's verdict


def test_what_the_queue_counts_is_told_with_the_attempts_that_were_first() -> None:
    scheduler = QueueScheduler(["a", "b", "c"], 1, workers=3)
    asked(scheduler)
    answered(scheduler, claims=((1, 0), (1, 1), (2, 2)))
    for attempt in (7, 8, 9):
        scheduler.finished(take(scheduler), attempt)
    assert asked(scheduler, 1.0).settle == ((1, 0), (1, 1), (2, 2))
    events = answered(scheduler, 1.5, counted=(True, False, True), over=(1,))
    assert events == [wire.Counted(1.5, 1, (7,)), wire.Counted(1.5, 2, (9,)), wire.PassFinished(1.5, 1, 3)]
    assert scheduler.passes_finished == 1


def test_claims_that_have_gone_to_others_are_not_started() -> None:
    scheduler = QueueScheduler(["a", "b", "c"], 1)
    asked(scheduler)
    answered(scheduler, claims=((1, 0), (1, 1)))
    assert take(scheduler).unit == "a"
    asked(scheduler, 20.0)
    answered(scheduler, 20.0, lost=True, claims=((1, 2),))
    assert take(scheduler).unit == "c"


def test_a_unit_that_runs_is_not_started_beside_itself_while_the_queue_may_have_another() -> None:
    scheduler = QueueScheduler(["a", "b"], 1, workers=2)
    asked(scheduler)
    answered(scheduler, claims=((1, 0), (2, 0)))
    assert take(scheduler) == Assignment("a", 1, 1)
    assert scheduler.next_unit(1, 0.0, 100.0) == Wait(for_memory=False, again_s=PATIENCE_S + 0.05)
    asked(scheduler)
    answered(scheduler, claims=((2, 1),))
    assert take(scheduler).unit == "b"


def test_when_nothing_fits_any_more_what_was_set_aside_has_its_chance_and_nothing_is_asked() -> None:
    knowledge = Knowledge({"a": UnitHistory(2, 5.0), "b": UnitHistory(2, 9.0)})
    scheduler = QueueScheduler(["a", "b"], 1, knowledge, workers=2)
    asked(scheduler)
    answered(scheduler, claims=((2, 1), (2, 0)), newest=2)
    assert [take(scheduler, 1.0, 3.0).unit for _ in range(2)] == ["a", "b"]
    # Both run, and neither fits: anything is better than an idle worker.
    assert take(scheduler, 1.0, 3.0) == Assignment("a", 2, take(scheduler, 1.0, 3.0).seed, extra=True)


def test_where_there_is_no_memory_the_worker_waits_for_it_and_others_are_claimed() -> None:
    scheduler = QueueScheduler(["a", "b", "c"], 1, workers=2)
    asked(scheduler)
    answered(scheduler, claims=((1, 0), (1, 1)))
    assert take(scheduler).unit == "a"
    assert scheduler.next_unit(1, 0.0, 100.0, lambda unit: unit == "c") == Wait(False, PATIENCE_S + 0.05)
    assert asked(scheduler).want > 0
    answered(scheduler, claims=())
    later = 1.0  # long since dry
    assert scheduler.next_unit(1, later, 100.0, lambda unit: False) == Wait()


def test_a_queue_that_is_slow_to_answer_is_not_waited_for() -> None:
    scheduler = QueueScheduler(["a", "b"], 1, shard=["b"], salt="h")
    asked(scheduler)
    assert isinstance(scheduler.next_unit(0, 0.0, 100.0), Wait)
    found = take(scheduler, PATIENCE_S + 0.05)
    assert isinstance(found, OwnAssignment)
    assert found.unit == "b"
    answered(scheduler, 0.4, claims=((1, 0), (1, 1)))
    assert scheduler.trouble == ""
    scheduler.finished(found, 1)
    assert take(scheduler, 0.5).unit == "a"


def test_units_in_quarantine_run_one_at_a_time_and_are_left_out_of_most_passes() -> None:
    hung = UnitHistory(0, 1.0, timeouts=3)
    knowledge = Knowledge({"h1": hung, "h2": hung, "x": UnitHistory(2, 1.0)}, Limits(retry_weight=1))
    scheduler = QueueScheduler(["h1", "h2", "x", "y"], 1, knowledge, workers=3)
    asked(scheduler)
    answered(scheduler, claims=((1, 0), (1, 1), (1, 2)))
    first = take(scheduler)
    assert (first.unit, take(scheduler).unit) == ("h1", "x")
    assert isinstance(scheduler.next_unit(2, 0.0, 100.0), Wait)
    scheduler.finished(first, 1)
    assert take(scheduler).unit == "h2"
    asked(scheduler)
    answered(scheduler, opens=True)
    opens = asked(scheduler).opens
    assert opens is not None
    assert (opens.number, sorted(opens.entries), opens.whole) == (2, [2, 3], True)


def test_the_faster_units_end_the_more_are_claimed_ahead() -> None:
    durations = {f"u{number:04}": 0.004 for number in range(4000)}
    fleet = Fleet(durations, {"a": (8, 1.0)}, passes=1).run()
    (host,) = fleet.hosts.values()
    # 2,000 ends a second: two times 50 ms of them in one exchange, not one exchange for each.
    assert host.scheduler.in_flight is None
    assert fleet.server.queue is not None
    asked_for = fleet.server.queue.replies["a/t0"]["number"]
    assert isinstance(asked_for, int)
    assert asked_for < 4000 / 15
    # After the first moments nobody waits for the queue.
    assert sum(to_s - from_s for from_s, to_s in fleet.gaps if from_s > 0.5) < 8 * ONE_WAY_S


def test_what_a_host_does_alone_counts_for_the_passes_under_way_and_not_for_its_own() -> None:
    scheduler = QueueScheduler(["a", "b"], 1, salt="h")
    scheduler.request(0.0)
    scheduler.unreachable("refused", 0.1)
    chosen = [take(scheduler, 0.2)]
    for attempt in range(1, 4):
        scheduler.finished(chosen[-1], attempt)
        chosen.append(take(scheduler, 0.2))
    assert [one.pass_number for one in chosen] == [1, 1, 2, 2]
    answered(scheduler, 0.3, counted=())
    assert sorted(asked(scheduler, 0.6).settle) == [(1, 0), (1, 1)]


#: Behind a run: pass 1 is complete, of pass 2 "b" is over and "a" is not; "b" may not have been counted.
BEHIND = Progress(2, frozenset({1}), {2: {"b", "gone"}}, ((2, "b", 7), (2, "gone", 8)))


def test_a_run_that_is_resumed_tells_the_queue_its_passes_and_what_may_not_be_counted() -> None:
    scheduler = QueueScheduler(["a", "b"], 1, progress=BEHIND)
    assert (scheduler.passes_finished, scheduler.pass_number, scheduler.oldest_pass) == (1, 2, 2)
    first = asked(scheduler, 50.0)
    assert (first.fresh, first.epoch, first.newest, first.seen, first.settle) == (False, "", 2, 0, ((2, 1),))
    told = answered(scheduler, 50.0, newest=3, oldest=3, over=(1, 2), counted=(True,), done=((3, frozenset()),))
    assert told == [wire.Counted(50.0, 2, (7,)), wire.PassFinished(50.0, 2, 2)]
    assert scheduler.passes_finished == 2
    assert scheduler.goodbye(51.0) == Exchange(2, "e", newest=3, seen=2, bye=True)


def test_a_run_that_is_resumed_without_its_queue_goes_on_where_it_was() -> None:
    scheduler = QueueScheduler(["a", "b"], 1, progress=BEHIND, salt="h")
    asked(scheduler, 50.0)
    scheduler.unreachable("refused", 50.1)
    left = take(scheduler, 50.2)
    assert (left.unit, left.pass_number) == ("a", 2)
    assert take(scheduler, 50.2).pass_number == 3
    # Nor where the queue was made anew, and waits for the other hosts.
    other = QueueScheduler(["a", "b"], 1, progress=BEHIND, salt="h")
    asked(other, 50.0)
    answered(other, 50.1, newest=2, oldest=3, gathering=True, counted=(False,))
    assert (take(other, 50.2).unit, other.pass_number) == ("a", 2)


@pytest.mark.parametrize(
    ("told", "anew"),
    [
        ({"newest": 2, "oldest": 3}, True),
        ({"newest": 2, "over": (1,), "done": ((2, frozenset()),)}, False),
        ({"newest": 1, "done": ((1, frozenset()),)}, False),
        ({"newest": 0, "gathering": True}, False),
    ],
)
def test_resumed_with_a_number_of_passes_a_host_knows_a_queue_that_did_not_open_the_first(
    told: dict[str, Any], anew: bool
) -> None:
    scheduler = QueueScheduler(["a", "b"], 1, passes=3, progress=BEHIND)
    asked(scheduler)
    answered(scheduler, **told)
    assert ("has lost this run's passes" in scheduler.trouble) == anew


@pytest.mark.parametrize("epoch", ["", "e"])
def test_an_answer_to_another_request_is_not_taken(epoch: str) -> None:
    scheduler = QueueScheduler(["a"], 1)
    asked(scheduler)
    stranger = Answer(99, epoch, False, False, (), ((1, 0),), 1, 1, (), 0, False)
    assert scheduler.told(stranger, 0.0) == []
    assert scheduler.in_flight is not None
