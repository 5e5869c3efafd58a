"""The soak test's plan of faults."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from soak_test.plan import DEADLY, DISK_FULL, FLEET_WIDE, LASTING, WEIGHTS, round_of

seeds = st.integers(0, 2**31)


@given(seeds, st.integers(1, 500))
def test_the_same_seed_plans_the_same_round(seed: int, number: int) -> None:
    assert round_of(seed, number) == round_of(seed, number)


@given(seeds)
def test_the_first_round_is_unharmed_and_synced(seed: int) -> None:
    first = round_of(seed, 1)
    assert not first.faults
    assert first.synced


@given(seeds, st.integers(2, 500))
def test_faults_come_in_the_order_of_time_and_a_host_is_named_where_there_is_one(seed: int, number: int) -> None:
    faults = round_of(seed, number).faults
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert all(bool(fault.host) != (fault.kind in FLEET_WIDE) for fault in faults)


@given(seeds, st.integers(2, 500))
def test_no_runner_is_killed_while_its_disk_is_full(seed: int, number: int) -> None:
    faults = round_of(seed, number).faults
    full = {fault.host for fault in faults if fault.kind == DISK_FULL}
    assert not any(fault.kind in DEADLY and fault.host in full for fault in faults)


@given(seeds, st.integers(2, 500))
def test_a_lasting_fault_is_over_before_the_same_one_is_done_to_the_same_host_again(seed: int, number: int) -> None:
    until_s: dict[tuple[str, str], float] = {}
    for fault in round_of(seed, number).faults:
        if fault.kind in LASTING:
            assert fault.at_s > until_s.get((fault.kind, fault.host), -1)
            until_s[fault.kind, fault.host] = fault.at_s + fault.lasts_s


def test_every_fault_comes_up_within_a_hundred_rounds() -> None:
    kinds = {fault.kind for number in range(1, 101) for fault in round_of(1, number).faults}
    assert kinds == set(WEIGHTS)
