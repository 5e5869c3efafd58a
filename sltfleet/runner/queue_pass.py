"""The pass that a host proposes to the shared queue, in the order that its knowledge makes best. Pure."""

from __future__ import annotations

from typing import Optional, Sequence

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import QUARANTINE_EVERY, Entry, first_order, later_order, seed_of_pass
from sltfleet.runner.queue_messages import NewPass


def propose(
    number: int, units: Sequence[str], seed: int, knowledge: Knowledge, remaining_s: Optional[float]
) -> Optional[NewPass]:
    """Return the pass of that number over the units (in the order by which the queue knows them).

    All hosts give a pass the same seed. After the first pass only what fits into the `remaining_s` of the budget is in
    it, and failing and flaky units are more often; None for a run with a number of passes, where all are alike. Returns
    None where nothing fits.
    """
    chosen = units
    weight = 1
    if remaining_s is not None and number > 1:
        weight = knowledge.retry_weight
        chosen = [unit for unit in units if knowledge.fits(unit, remaining_s)]
    whole = len(chosen) == len(units)
    if number % QUARANTINE_EVERY and number > 1 and len(knowledge.quarantined) < len(units):
        chosen = [unit for unit in chosen if unit not in knowledge.quarantined]
    if not chosen:
        return None
    pass_seed = seed_of_pass(seed, number)
    if number == 1:
        order = [Entry(unit) for unit in first_order(chosen, knowledge, pass_seed)]
    else:
        order = later_order(chosen, knowledge, pass_seed, weight)
    index = {unit: place for place, unit in enumerate(units)}
    return NewPass(number, tuple(-index[unit] - 1 if extra else index[unit] for unit, extra in order), whole)
