"""What a host's scheduler asks a shared queue for, and what it does with each answer: one exchange at a time."""

from __future__ import annotations

from typing import Any

import pytest

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Progress
from sltfleet.runner.queue_messages import Answer, Exchange, NewPass
from sltfleet.runner.queue_schedule import PATIENCE_S, OwnAssignment, QueueScheduler
from sltfleet.runner.schedule import START_TRIES, Assignment, Wait
from sltfleet.wire import events as wire
from sltfleet.wire.spec import Limits, UnitHistory
from tests.support.queue_fleet import ONE_WAY_S, Fleet


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
