"""The soak test: faults at random against a small fleet, and at the end an accounting of everything that was said.

- `plan`: which fault, when, on which host: pure, from the seed.
- `units`: what the units do, and what they log of themselves: the independent observer.
- `scene`: the fleet, and the person who types; `faults`: does harm to it, and undoes it.
- `rounds`: sync, run, faults, resume, fetch; one run after the other.
- `evidence`: gathers what everybody says at the end; `ledger`: reads journals without sltfleet's own code.
- `accounting`, `claims`: what must hold, as pure checks.
"""
