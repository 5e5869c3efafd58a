"""The order in which units are handed out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Progress, first_order, seed_of_pass
from sltfleet.runner.schedule import START_TRIES, Assignment, PassScheduler
from sltfleet.wire.spec import Limits, UnitHistory

UNITS = st.lists(st.text("abc/", min_size=1, max_size=4), min_size=1, max_size=12, unique=True)
SEEDS = st.integers(0, 2**64 - 1)


def take(scheduler: PassScheduler, worker: int = 0) -> Assignment:
    assignment = scheduler.next_unit(worker, 0.0, 100.0)
    assert isinstance(assignment, Assignment)
    return assignment


@given(UNITS, SEEDS, st.integers(1, 4))
def test_one_worker_gets_every_unit_once_per_pass(units: list[str], seed: int, passes: int) -> None:
    scheduler = PassScheduler(units, seed, passes=passes)
    for number in range(1, passes + 1):
        seen = []
        for _ in units:
            assignment = take(scheduler)
            assert assignment.pass_number == number
            assert assignment.seed == seed_of_pass(seed, number)
            seen.append(assignment.unit)
            over = scheduler.finished(assignment)
        assert sorted(seen) == sorted(units)
        assert over == (number,)
    assert scheduler.next_unit(0, 0.0, 100.0) is None
    assert scheduler.passes_finished == passes


@given(UNITS, SEEDS, st.data())
def test_the_same_seed_gives_the_same_plan_whatever_the_order_of_the_units(
    units: list[str], seed: int, data: st.DataObject
) -> None:
    other = data.draw(st.permutations(units))
    first, second = PassScheduler(units, seed), PassScheduler(other, seed)
    for _ in range(3 * len(units)):
        one, two = take(first), take(second)
        assert one == two
        first.finished(one)
        second.finished(two)


@given(UNITS, SEEDS, st.integers(1, 6), st.integers(1, 3), st.randoms(use_true_random=False))
def test_every_pass_covers_every_unit_however_attempts_overlap(
    units: list[str],
    seed: int,
    workers: int,
    passes: int,
    random: st.randoms,  # type: ignore[valid-type]
) -> None:
    scheduler = PassScheduler(units, seed, passes=passes)
    handed: list[Assignment] = []
    running: list[Assignment] = []
    over: list[int] = []
    while True:
        assignment = scheduler.next_unit(0, 0.0, 1.0) if len(running) < workers else None
        if isinstance(assignment, Assignment):
            handed.append(assignment)
            running.append(assignment)
        elif running:
            over += scheduler.finished(running.pop(random.randrange(len(running))))  # type: ignore[attr-defined]
        else:
            break
    assert sorted((a.pass_number, a.unit) for a in handed) == sorted(
        (number, unit) for number in range(1, passes + 1) for unit in units
    )
    assert sorted(over) == list(range(1, passes + 1))


@given(UNITS, SEEDS)
def test_a_running_unit_is_not_started_again_while_another_can_be(units: list[str], seed: int) -> None:
    scheduler = PassScheduler(units, seed)
    straggler = take(scheduler)
    for _ in range(3 * (len(units) - 1)):
        assignment = take(scheduler)
        assert assignment.unit != straggler.unit
        scheduler.finished(assignment)
    # Now the second pass and the one after it have nothing else left: the unit is started a second time.
    assert take(scheduler).unit == straggler.unit


def test_the_first_pass_takes_failed_then_new_then_passed_each_longest_first() -> None:
    history = {
        "passed-short": UnitHistory(2, 1.0),
        "passed-long": UnitHistory(2, 9.0),
        "failed-short": UnitHistory(0, 1.0),
        "failed-long": UnitHistory(0, 5.0),
        "failed-unknown": UnitHistory(0),
    }
    order = first_order([*sorted(history), "new"], Knowledge(history), 1)
    assert order == ["failed-long", "failed-short", "failed-unknown", "new", "passed-long", "passed-short"]


def test_later_passes_are_shuffled_anew() -> None:
    units = [str(number) for number in range(50)]
    scheduler = PassScheduler(units, 3, passes=3)
    orders = [[], [], []]  # type: list[list[str]]
    for order in orders:
        for _ in units:
            assignment = take(scheduler)
            order.append(assignment.unit)
            scheduler.finished(assignment)
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_what_could_not_be_started_comes_again_in_its_pass_but_not_for_ever() -> None:
    scheduler = PassScheduler(["a", "b"], 1, passes=1)
    first, second = take(scheduler), take(scheduler)
    scheduler.finished(second)
    for _ in range(START_TRIES - 1):
        assert scheduler.not_started(first) == ()
        assert take(scheduler) == first
    assert scheduler.not_started(first) == (1,)
    assert scheduler.next_unit(0, 0.0, 1.0) is None


def test_a_unit_given_back_late_is_handed_out_before_the_newer_passes() -> None:
    scheduler = PassScheduler(["a", "b", "c"], 1)
    late = take(scheduler)
    for _ in range(3):
        scheduler.finished(take(scheduler))
    scheduler.not_started(late)
    assert take(scheduler) == late


def test_a_schedule_without_units_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs a unit"):
        PassScheduler([], 1)


@given(SEEDS, st.integers(2, 1000))
def test_seeds_of_later_passes_fit_into_31_bits(seed: int, number: int) -> None:
    assert 0 <= seed_of_pass(seed, number) < 2**31
    assert seed_of_pass(seed, 1) == seed


def test_the_oldest_pass_is_the_one_that_a_straggler_holds_open() -> None:
    scheduler = PassScheduler(["a", "b"], 1)
    assert scheduler.oldest_pass == 1
    straggler, other = take(scheduler), take(scheduler)
    scheduler.finished(other)
    ahead = take(scheduler)
    assert (ahead.pass_number, scheduler.oldest_pass) == (2, 1)
    scheduler.finished(straggler)
    assert scheduler.oldest_pass == 2


def drain(scheduler: PassScheduler, count: int) -> list[Assignment]:
    """Take and finish so many units, one after the other."""
    taken = []
    for _ in range(count):
        taken.append(take(scheduler))
        scheduler.finished(taken[-1])
    return taken


def test_a_host_with_a_shard_takes_it_first_then_what_the_others_have_and_then_its_own_again() -> None:
    units = [f"u{index}" for index in range(9)]
    scheduler = PassScheduler(units, 7, shard=("u1", "u5"), salt="alpha")
    first, others, own = drain(scheduler, 2), drain(scheduler, 7), drain(scheduler, 2)
    assert {one.unit for one in first} == {"u1", "u5"}
    assert {one.pass_number for one in first} == {1}
    assert {one.unit for one in others} == set(units) - {"u1", "u5"}
    assert {one.unit for one in own} == {"u1", "u5"}
    assert {one.pass_number for one in others + own} == {2}
    assert scheduler.passes_finished == 2


def test_hosts_go_different_ways_after_the_first_pass_whose_seed_they_share() -> None:
    units = [f"u{index}" for index in range(50)]
    one, two = (PassScheduler(units, 7, salt=salt) for salt in ("alpha", "beta"))
    first, second = drain(one, 100), drain(two, 100)
    assert [a for a in first if a.pass_number == 1] == [a for a in second if a.pass_number == 1]
    assert first[50].seed != second[50].seed
    assert [a.unit for a in first[50:]] != [a.unit for a in second[50:]]


def test_counted_passes_are_all_made_of_the_shard() -> None:
    scheduler = PassScheduler([f"u{index}" for index in range(9)], 7, passes=3, shard=("u1", "u5"))
    assert {one.unit for one in drain(scheduler, 6)} == {"u1", "u5"}
    assert scheduler.next_unit(0, 0.0, 100.0) is None
    assert scheduler.passes_finished == 3


def test_a_host_without_a_shard_starts_with_the_others_units() -> None:
    scheduler = PassScheduler(["a", "b"], 7, shard=())
    assert {one.pass_number for one in drain(scheduler, 2)} == {2}
    assert PassScheduler(["a", "b"], 7, passes=1, shard=()).next_unit(0, 0.0, 100.0) is None


@given(UNITS, SEEDS, st.integers(0, 30))
def test_a_schedule_that_goes_on_hands_out_what_was_left(units: list[str], seed: int, done: int) -> None:
    whole, before = PassScheduler(units, seed), PassScheduler(units, seed)
    drain(whole, done)
    behind = drain(before, done)
    newest = max((one.pass_number for one in behind), default=0)
    over = {newest: {one.unit for one in behind if one.pass_number == newest}}
    finished = before.passes_finished
    resumed = PassScheduler(
        units, seed, progress=Progress(newest, frozenset(range(finished)), over if finished < newest else {})
    )
    rest = 2 * len(units)
    assert drain(resumed, rest) == drain(whole, rest)
    assert resumed.passes_finished == whole.passes_finished


def test_a_pass_is_as_large_as_what_it_has_on_this_host() -> None:
    knowledge = Knowledge({"hung": UnitHistory(0, 9.0, timeouts=3)}, Limits())
    scheduler = PassScheduler(["a", "b", "c", "hung"], 1, knowledge, shard=["a", "hung"])
    sizes = {}
    for _ in range(8):
        assignment = take(scheduler)
        sizes.update({number: scheduler.size_of(number) for number in scheduler.finished(assignment)})
    assert tuple(scheduler.shard or ()) == ("a", "hung")
    assert sizes == {1: 2, 2: 3, 3: 3}
