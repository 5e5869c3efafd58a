"""Which units each host of a run takes in the first pass. Pure: the same history and hosts give the same answer on all.

The units go to the workers of all hosts, longest first, each to the worker that would be over with it first: Graham's
"longest processing time first" (Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17, 1969), here on
uniform machines, where a worker of a host of speed 2 takes half as long (Gonzalez, Ibarra and Sahni, SIAM J. Comput. 6,
1977). What a host gets is what its workers get together; the host itself decides which of them runs it, and when.

What comes first is dealt out first: every host has its part of the units that failed before, and begins with it. What
is in quarantine comes last, host by host and not worker by worker, because a host runs one of those at a time.
"""

from __future__ import annotations

import heapq
from math import fsum
from typing import Dict, List, Mapping, Sequence, Tuple

from sltfleet.runner.knowledge import Knowledge
from sltfleet.wire.share import Member, Share
from sltfleet.wire.spec import Limits, UnitHistory

#: What a unit is taken to last where of none of them the duration is known.
UNKNOWN_S = 1.0


def shard_of(units: Sequence[str], share: Share, history: Mapping[str, UnitHistory], limits: Limits) -> List[str]:
    """Return the units that the host of `share` takes in the first pass, in their given order; it may be none.

    `history` must be what all hosts were sent, in the reference's seconds.
    """
    dealt = deal(units, share.members, history, limits)
    return [unit for unit in units if dealt[unit] == share.host]


def deal(
    units: Sequence[str], members: Sequence[Member], history: Mapping[str, UnitHistory], limits: Limits
) -> Dict[str, str]:
    """Return the host of every unit."""
    knowledge = Knowledge({unit: history[unit] for unit in units if unit in history}, limits)
    # `fsum` is exact: Pythons differ in how `sum` rounds, and the hosts' Pythons may differ.
    known = [seconds for seconds in map(knowledge.expected_s, units) if seconds is not None]
    usual_s = fsum(known) / len(known) if known else UNKNOWN_S

    def takes_s(unit: str) -> float:
        expected_s = knowledge.expected_s(unit)
        return usual_s if expected_s is None else expected_s

    longest_first = sorted(units, key=lambda unit: (knowledge.rank(unit), -takes_s(unit), unit))
    hung = [unit for unit in longest_first if unit in knowledge.quarantined]
    others = [unit for unit in longest_first if unit not in knowledge.quarantined]
    dealt = _deal([(unit, takes_s(unit)) for unit in others], members, [member.workers for member in members])
    dealt.update(_deal([(unit, takes_s(unit)) for unit in hung], members, [1 for _ in members]))
    return dealt


def _deal(units: Sequence[Tuple[str, float]], members: Sequence[Member], workers: Sequence[int]) -> Dict[str, str]:
    """Give each unit, in turn, to the worker that would be over with it first.

    Where several would be, to the host that has least to do so far: the first units are spread over all hosts.
    """
    #: Per host: when its workers are free, and how much it has to do, per worker.
    free_s: List[List[float]] = [[0.0] * count for count in workers]
    load_s = [0.0 for _ in members]
    dealt: Dict[str, str] = {}
    for unit, seconds in units:
        over_s, _, place = min(
            (free_s[place][0] + seconds / member.speed, load_s[place], place) for place, member in enumerate(members)
        )
        heapq.heapreplace(free_s[place], over_s)
        load_s[place] += seconds / (members[place].speed * workers[place])
        dealt[unit] = members[place].host
    return dealt
