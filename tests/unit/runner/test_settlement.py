"""What becomes of an attempt that is over: counted once, recorded, and back in its pass where it has no verdict."""

from __future__ import annotations

from dataclasses import replace

from sltfleet.runner.batches import Batcher
from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.memory import Memory
from sltfleet.runner.messages import Action, Attempt, Exited, Record, Settle
from sltfleet.runner.schedule import Assignment, PassScheduler
from sltfleet.runner.settlement import Settlement
from sltfleet.runner.slots import Slot
from sltfleet.runner.tally import Tally
from sltfleet.runner.verdicts import CutShort, Displaced, Verdict
from sltfleet.wire import events as wire
from sltfleet.wire import outcome as outcomes
from sltfleet.wire.events import Rusage

UNITS = ("a", "b")


class Desk:
    """One worker, to whom both units of a single pass were handed out."""

    def __init__(self) -> None:
        knowledge = Knowledge()
        self.scheduler = PassScheduler(UNITS, 1, knowledge, passes=1)
        memory = Memory(knowledge)
        tally = Tally(len(UNITS), None)
        self.settlement = Settlement(self.scheduler, knowledge, memory, Batcher(knowledge), tally, budget_s=10.0)
        self.slot = Slot(0)
        self.first, self.second = (self.hand_out(number) for number in (1, 2))

    def hand_out(self, number: int) -> Attempt:
        assignment = self.scheduler.next_unit(0, 0.0, 10.0)
        assert isinstance(assignment, Assignment)
        self.settlement.handed_out(number, assignment)
        return Attempt(number, assignment.unit, 0, assignment.pass_number, assignment.seed, 60.0)

    def left_to_run(self) -> list[str]:
        """What would still be handed out."""
        found = []
        while isinstance(assignment := self.scheduler.next_unit(0, 5.0, 5.0), Assignment):
            found.append(assignment.unit)
        return found


def passed(attempt: Attempt) -> Exited:
    return Exited(attempt, 0, None, Verdict(outcomes.PASS), Rusage())


def recorded(actions: list[Action]) -> list[wire.Event]:
    return [action.event for action in actions if isinstance(action, Record)]


def test_a_pass_is_recorded_with_the_last_of_its_attempts_and_each_is_counted_once() -> None:
    desk = Desk()
    first = desk.settlement.exited(desk.slot, passed(desk.first), None, 0.0, 2.0)
    assert [type(action) for action in first] == [Settle]
    second = desk.settlement.exited(desk.slot, passed(desk.second), None, 2.0, 3.0)
    assert recorded(second) == [wire.PassFinished(t=3.0, pass_number=1, units=2)]
    assert (desk.settlement.tally.attempts, desk.settlement.tally.covered) == (2, 2)
    assert (desk.slot.attempts, desk.slot.busy_s) == (2, 3.0)


def test_what_had_to_go_for_want_of_memory_comes_again_and_what_the_run_s_end_cut_does_not() -> None:
    for cause, again in ((Displaced(1000), True), (CutShort("budget"), False)):
        desk = Desk()
        event = replace(passed(desk.first), exit_code=None, signal=9)
        (settled, *_) = desk.settlement.exited(desk.slot, event, cause, 0.0, 2.0)
        assert isinstance(settled, Settle)
        assert settled.event.outcome == outcomes.CUT
        assert desk.left_to_run() == ([desk.first.unit] if again else [])


def test_what_shares_a_process_that_hangs_in_the_kernel_comes_again() -> None:
    desk = Desk()
    together = replace(desk.first, others=(desk.second,))
    actions = desk.settlement.abandoned(desk.slot, together, CutShort("stopped"), 0.0, 9.0)
    assert [action.event.attempt for action in actions if isinstance(action, Settle)] == [1, 2]
    assert desk.left_to_run() == [desk.second.unit]


def test_a_process_that_could_not_be_started_has_no_verdict_and_its_unit_comes_again() -> None:
    desk = Desk()
    (settled,) = desk.settlement.not_started(desk.slot, desk.first, "no such file", 1.0)
    assert isinstance(settled, Settle)
    assert (settled.event.outcome, settled.event.message) == (outcomes.INFRA, "no such file")
    assert desk.left_to_run() == [desk.first.unit]
