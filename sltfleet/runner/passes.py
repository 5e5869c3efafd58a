"""The passes of a schedule: the order of each, and what of it is still to be handed out. Pure.

The first pass finds failures early: failed before, then never tested, then passed before; inside each group the longest
expected first, so that no long unit is left for the end. What is in quarantine comes last. Every later pass is newly
shuffled, and attempts failing and flaky units more than once.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from dataclasses import dataclass, field
from enum import Enum
from typing import AbstractSet, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from sltfleet.runner.knowledge import Knowledge

#: Further attempts of failing and flaky units take at most this part of a pass' own time.
EXTRA_SHARE = 1 / 3

#: Units in quarantine are in the first pass, and then in every so many-th one.
QUARANTINE_EVERY = 10


class Entry(NamedTuple):
    """A unit in a pass; `extra` where it is there a further time, which does not count for the pass' coverage."""

    unit: str
    extra: bool = False


@dataclass(frozen=True)
class Progress:
    """What is behind a schedule that goes on: after a resume, or while the shared queue is out of reach.

    `newest` is the number of the newest pass that was ever opened, `complete` are those that are. `over` has the
    units of each pass under way that need no attempt any more; a pass up to `newest` that is not in it is done with.
    `uncounted` are verdicts that a shared queue is not known to have counted: pass, unit and attempt.
    """

    newest: int = 0
    complete: AbstractSet[int] = frozenset()
    over: Mapping[int, AbstractSet[str]] = field(default_factory=dict)
    uncounted: Tuple[Tuple[int, str, int], ...] = ()


class Judgement(Enum):
    """What may be done with an entry at the moment."""

    TAKE = "take"
    #: Not now: another one first.
    SKIP = "skip"
    #: Not in its turn any more: it is set aside.
    ASIDE = "aside"
    #: Nothing more is to be looked at.
    STOP = "stop"


def seed_of_pass(seed: int, pass_number: int, salt: str = "") -> int:
    """Return the seed of a pass: the run's own for the first, 31 bits derived from it for each later one.

    `salt` is what tells the hosts of a run apart, so that their later passes do not go the same way.
    """
    if pass_number == 1:
        return seed
    text = f"{seed}/{pass_number}/{salt}" if salt else f"{seed}/{pass_number}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def first_order(units: Sequence[str], knowledge: Knowledge, seed: int) -> List[str]:
    """Return the units in the order of the first pass."""

    def key(unit: str) -> Tuple[bool, int, bool, float]:
        expected_s = knowledge.expected_s(unit)
        return unit in knowledge.quarantined, knowledge.rank(unit), expected_s is None, -(expected_s or 0.0)

    return sorted(shuffled_order(units, seed), key=key)


def shuffled_order(units: Sequence[str], seed: int) -> List[str]:
    """Return the units in the random order that `seed` stands for."""
    order = sorted(units)
    random.Random(seed).shuffle(order)
    return order


def later_order(units: Sequence[str], knowledge: Knowledge, seed: int, weight: int) -> List[Entry]:
    """Return a later pass over the units: shuffled, its further attempts spread over it.

    Failing and flaky units come `weight` times, as far as EXTRA_SHARE allows. The first of a unit's entries counts for
    the pass, whichever that is.
    """
    order = shuffled_order(units, seed)
    extras = list(_extras(order, knowledge, weight))
    if not extras:
        return [Entry(unit) for unit in order]
    order += extras
    random.Random(f"{seed}/extras").shuffle(order)
    seen: Set[str] = set()
    entries = []
    for unit in order:
        entries.append(Entry(unit, extra=unit in seen))
        seen.add(unit)
    return entries


def _extras(order: Sequence[str], knowledge: Knowledge, weight: int) -> Iterator[str]:
    suspects = knowledge.suspects(order) if weight > 1 else []
    if not suspects:
        return
    known = [seconds for seconds in map(knowledge.expected_s, order) if seconds is not None]
    usual_s = sum(known) / len(known) if known else 1.0
    left_s = EXTRA_SHARE * (sum(known) + usual_s * (len(order) - len(known)))
    for _ in range(weight - 1):
        for unit in suspects:
            expected_s = knowledge.expected_s(unit)
            cost_s = usual_s if expected_s is None else expected_s
            if cost_s <= left_s:
                left_s -= cost_s
                yield unit


class Pass:
    """One traversal of the units: what is still to be handed out, and how many are not over yet.

    `whole`: when it is over every unit has been attempted; otherwise some had to be left out.
    """

    def __init__(self, number: int, seed: int, order: Sequence[Entry], whole: bool = True) -> None:
        self.number = number
        self.seed = seed
        self.whole = whole
        #: The next entry is the last element, so that taking it is cheap.
        self.pending = list(reversed(order))
        self.unfinished = sum(not entry.extra for entry in order)
        self.tries: Dict[str, int] = {}

    def take(self, judge: Callable[[Entry], Judgement]) -> Optional[Entry]:
        """Remove and return the first pending entry that may be taken; what is to be set aside is removed as well."""
        index = len(self.pending) - 1
        while index >= 0:
            judgement = judge(self.pending[index])
            if judgement is Judgement.TAKE:
                return self.pending.pop(index)
            if judgement is Judgement.STOP:
                return None
            if judgement is Judgement.ASIDE:
                self.pending.pop(index)
            index -= 1
        return None

    def put_back(self, entry: Entry) -> None:
        """The entry comes again, after all others."""
        self.pending.insert(0, entry)


class Aside:
    """What was set aside because it does not fit into what is left of the budget, the shortest first."""

    def __init__(self) -> None:
        self._heap: List[Tuple[float, int, int, Entry]] = []
        self._count = 0

    def push(self, expected_s: float, pass_number: int, entry: Entry) -> None:
        """Set an entry of a pass aside."""
        self._count += 1
        heapq.heappush(self._heap, (expected_s, self._count, pass_number, entry))

    def entries(self) -> Iterator[Tuple[int, Entry]]:
        """Yield what was set aside, with its pass, in no order."""
        return ((number, entry) for _, _, number, entry in self._heap)

    @property
    def shortest_s(self) -> Optional[float]:
        """How long the shortest one will take, None where there is none."""
        return self._heap[0][0] if self._heap else None

    def take(self, judge: Callable[[Entry], Judgement]) -> Optional[Tuple[int, Entry]]:
        """Remove and return the shortest one that may be taken, with its pass."""
        skipped = []
        found = None
        while self._heap and found is None:
            item = heapq.heappop(self._heap)
            judgement = judge(item[3])
            if judgement is Judgement.TAKE:
                found = item
            else:
                skipped.append(item)
            if judgement is Judgement.STOP:
                break
        for item in skipped:
            heapq.heappush(self._heap, item)
        return None if found is None else (found[2], found[3])
