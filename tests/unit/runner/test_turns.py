"""Which entry may start now: beside what runs, what is in quarantine, what fits, and what there is memory for."""

from __future__ import annotations

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Entry, Judgement
from sltfleet.runner.schedule import everything
from sltfleet.runner.turns import CHANCE, FIRST_PASS, LOOK_AHEAD, Turns
from sltfleet.wire.spec import UnitHistory

UNITS = ("a", "b", "hangs", "hangs too")
HANGS = UnitHistory(rank=0, timeouts=5)


def turns(remaining_s: float = 100.0, **durations_s: float) -> Turns:
    """Turns over four units, of which two are in quarantine."""
    history = {unit: UnitHistory(rank=1, expected_s=seconds) for unit, seconds in durations_s.items()}
    found = Turns(Knowledge({**history, "hangs": HANGS, "hangs too": HANGS}), len(UNITS))
    found.choose(remaining_s, everything)
    return found


def test_a_unit_that_runs_is_skipped_until_its_last_attempt_is_over() -> None:
    one = turns()
    one.started("a")
    one.started("a")
    one.ended("a")
    assert one.judge(1, Entry("a")) is Judgement.SKIP
    one.ended("a")
    assert not one.busy
    assert one.judge(1, Entry("a")) is Judgement.TAKE


def test_units_in_quarantine_run_one_at_a_time_and_wait_for_one_another() -> None:
    one = turns()
    one.started("hangs")
    assert one.judge(3, Entry("hangs too")) is Judgement.ASIDE
    assert one.out_of_quarantine() is None
    assert not one.quarantine_is_idle
    one.ended("hangs")
    assert one.out_of_quarantine() == (3, Entry("hangs too"))
    assert one.quarantine_is_idle


def test_a_further_time_of_a_unit_in_quarantine_is_not_waited_for() -> None:
    one = turns()
    one.started("hangs")
    assert one.judge(3, Entry("hangs too", extra=True)) is Judgement.ASIDE
    assert list(one.waiting()) == []


def test_where_all_units_are_in_quarantine_it_keeps_none_from_running() -> None:
    one = Turns(Knowledge({"hangs": HANGS, "hangs too": HANGS}), 2)
    one.choose(100.0, everything)
    one.started("hangs")
    assert one.all_quarantined
    assert one.judge(1, Entry("hangs too")) is Judgement.TAKE


def test_what_does_not_fit_is_set_aside_and_the_first_pass_has_it_tried_while_there_is_a_chance() -> None:
    one = turns(8.0, a=10.0, b=20.0)
    assert one.judge(FIRST_PASS, Entry("b")) is Judgement.ASIDE
    assert one.last_of_first_pass() is None
    assert one.judge(FIRST_PASS, Entry("a")) is Judgement.ASIDE
    one.choose(CHANCE * 10.0, everything)
    assert one.last_of_first_pass() == (FIRST_PASS, Entry("a"))
    assert list(one.waiting()) == [(FIRST_PASS, Entry("b"))]
    assert one.best_chance() == (FIRST_PASS, Entry("b"))


def test_nothing_more_is_looked_at_when_there_is_no_memory_for_very_many() -> None:
    one = turns()
    one.choose(100.0, lambda _unit: False)
    judged = [one.judge(1, Entry("a")) for _ in range(LOOK_AHEAD)]
    assert set(judged[:-1]) == {Judgement.SKIP}
    assert judged[-1] is Judgement.STOP
    assert one.refused == LOOK_AHEAD


def test_what_waits_is_forgotten_when_it_is_no_longer_this_hosts() -> None:
    one = turns(1.0, a=10.0)
    one.judge(2, Entry("a"))
    one.started("hangs")
    one.judge(2, Entry("hangs too"))
    one.forget_waiting()
    assert list(one.waiting()) == []
