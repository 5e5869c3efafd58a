"""What becomes of an attempt that is over: what is counted, learned and recorded, and what goes back into its pass.

The dispatcher says that a process has ended, and why; here every attempt that it stood for is settled, once. Which
state the worker is in afterwards is the dispatcher's. Pure.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

from sltfleet.runner import batches, records
from sltfleet.runner.batches import Batcher, members
from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.memory import Memory
from sltfleet.runner.messages import Action, Attempt, Exited, Record, Settle
from sltfleet.runner.schedule import Assignment, Scheduler
from sltfleet.runner.slots import Slot, busy_within
from sltfleet.runner.tally import Tally
from sltfleet.runner.verdicts import Cause, CutShort, Displaced, Verdict, conclude
from sltfleet.wire import events as wire
from sltfleet.wire import outcome as outcomes


class Settlement:
    """Keeps what was handed out until it is over. `now` is in seconds on the run's clock."""

    def __init__(
        self,
        scheduler: Scheduler,
        knowledge: Knowledge,
        memory: Memory,
        batcher: Batcher,
        tally: Tally,
        budget_s: float,
    ) -> None:
        self._scheduler = scheduler
        self._knowledge = knowledge
        self._memory = memory
        self._batcher = batcher
        self.tally = tally
        self._budget_s = budget_s
        #: What was handed out and is not over, by the attempt's number.
        self._assigned: Dict[int, Assignment] = {}

    def handed_out(self, attempt: int, assignment: Assignment) -> None:
        """The attempt of that number is to be settled when it is over."""
        self._assigned[attempt] = assignment

    def not_started(self, slot: Slot, attempt: Attempt, message: str, now: float) -> List[Action]:
        """Settle all attempts of a process that could not be started."""
        self._memory.ended(attempt.number)
        actions: List[Action] = []
        for one in members(attempt):
            slot.attempts += 1
            finished = records.not_started(one, message, now)
            self.tally.add(finished)
            actions.append(Settle(finished))
            actions += self._passes_over(self._scheduler.not_started(self._assigned.pop(one.number)), now)
        return actions

    def exited(self, slot: Slot, event: Exited, cause: Optional[Cause], since_s: float, now: float) -> List[Action]:
        """Settle all attempts of a process that ran since `since_s`, and was ended for `cause` if there is one."""
        attempt = event.attempt
        if attempt.others:
            return self._batch(slot, event, cause, since_s, now)
        verdict = conclude(event.verdict, attempt.unit, event.exit_code, event.signal, cause)
        finished = records.attempt_finished(attempt, now, since_s, verdict, event)
        return self._settle(slot, finished, displaced=isinstance(cause, Displaced))

    def abandoned(self, slot: Slot, attempt: Attempt, cause: Cause, since_s: float, now: float) -> List[Action]:
        """Settle the attempt of a process that hangs in the kernel.

        What shared the process never had its turn, and goes back into its pass.
        """
        verdict = conclude(Verdict(outcomes.FAIL), attempt.unit, None, None, cause)
        finished = records.attempt_finished(attempt, now, since_s, verdict, None)
        actions = self._settle(slot, finished, displaced=isinstance(cause, Displaced))
        for other in attempt.others:
            actions += self._settle(slot, records.not_run(other, now), displaced=True)
        return actions

    def _batch(self, slot: Slot, event: Exited, cause: Optional[Cause], since_s: float, now: float) -> List[Action]:
        """Settle every attempt of a shared process; what was not run goes back into its pass."""
        told = batches.split(event, cause)
        if event.verdict.running is None and not isinstance(cause, (CutShort, Displaced)):
            # Nobody knows which of them it was that kept the others from running.
            self._batcher.alone(one.unit for one, verdict in told if verdict is None)
        ran = [(one, verdict) for one, verdict in told if verdict is not None]
        expected_s = [self._knowledge.expected_s(one.unit) or 0.0 for one, _ in ran]
        finished = batches.divide(
            [records.attempt_finished(one, now, since_s, verdict, event) for one, verdict in ran],
            expected_s,
            since_s,
            now,
            event.rusage,
        )
        for one, verdict in told:
            self._batcher.learn(one.unit, verdict)
        finished += [records.not_run(one, now) for one, verdict in told if verdict is None]
        actions: List[Action] = []
        for end in finished:
            back = end.outcome == outcomes.CUT and not isinstance(cause, CutShort)
            actions += self._settle(slot, end, displaced=back)
        self._memory.ended(event.attempt.number)
        # What was printed is kept as the output of the worst of them.
        finished.sort(key=lambda end: end.outcome not in outcomes.BAD)
        rest = [action for action in actions if not isinstance(action, Settle)]
        return [Settle(finished[0], tuple(finished[1:]), event.attempt.number), *rest]

    def _settle(self, slot: Slot, finished: wire.AttemptFinished, displaced: bool) -> List[Action]:
        slot.attempts += 1
        slot.busy_s += busy_within(finished.t - finished.duration_s, finished.t, self._budget_s)
        self.tally.add(finished)
        actions: List[Action] = [Settle(finished)]
        actions += [Record(note) for note in self._learn(finished)]
        self._memory.ended(finished.attempt)
        assignment = self._assigned.pop(finished.attempt)
        if displaced:
            self._scheduler.put_back(assignment)
        elif finished.outcome != outcomes.CUT:
            actions += self._passes_over(self._scheduler.finished(assignment, finished.attempt), finished.t)
        return actions

    def _learn(self, finished: wire.AttemptFinished) -> List[wire.Event]:
        """Learn from an attempt, and tell where its unit timed out and is in quarantine now, or is let out of it."""
        unit = finished.unit
        before = unit in self._knowledge.quarantined
        self._knowledge.learn(finished)
        after = unit in self._knowledge.quarantined
        told = after if finished.outcome == outcomes.TIMEOUT else before and not after
        return [records.quarantine(unit, self._knowledge.timeouts(unit), finished.t)] if told else []

    def _passes_over(self, numbers: Tuple[int, ...], now: float) -> List[Action]:
        sizes = ((number, self._scheduler.size_of(number)) for number in numbers)
        return [Record(wire.PassFinished(t=now, pass_number=number, units=size)) for number, size in sizes]
