"""The counts of a run as the state file tells them."""

from __future__ import annotations

from sltfleet.runner.tally import Tally
from sltfleet.wire.events import AttemptFinished


def over(unit: str, pass_number: int = 1, outcome: str = "pass") -> AttemptFinished:
    return AttemptFinished(1.0, 1, unit, 0, pass_number, 40 + pass_number, outcome, 1.0)


def test_a_host_without_a_share_has_all_units() -> None:
    tally = Tally(3)
    tally.add(over("a"))
    assert (tally.covered, tally.share_total, tally.share_covered) == (1, None, 0)


def test_of_a_share_only_its_own_units_count_in_whatever_pass_they_come_to_a_verdict() -> None:
    tally = Tally(4, ["a", "b"])
    for event in (over("a", outcome="cut"), over("b"), over("c", 2), over("a", 2), over("a", 3)):
        tally.add(event)
    assert (tally.covered, tally.share_total, tally.share_covered) == (3, 2, 2)


def test_a_share_of_a_later_pass_is_another_one() -> None:
    tally = Tally(3, ["0/3", "1/3"])
    for event in (over("0/3"), over("1/3", 2), over("2/3", 2)):
        tally.add(event)
    assert (tally.covered, tally.share_covered) == (2, 1)


def test_a_host_that_has_nothing_of_the_first_pass_covers_nothing_of_it() -> None:
    tally = Tally(2, [])
    tally.add(over("a", 2))
    assert (tally.covered, tally.share_total, tally.share_covered) == (1, 0, 0)
