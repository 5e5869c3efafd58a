"""What a host and the shared queue say to each other: one request, one answer. Pure.

Everything goes through one script on the server (`queue_script`), in one round trip: the lease is renewed, verdicts are
settled, claims are given back, a pass is opened, units are claimed. Requests are numbered, and a request is repeated
unchanged until it is answered; the server answers a number that it has seen before with what it answered then, so a
lost answer loses nothing and counts nothing twice. Units are indices into the sorted list of the run's units.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Optional, Tuple, Union

#: A pass and a unit. An entry beyond the first of a unit in a pass is -(index + 1): it does not count for the pass.
Place = Tuple[int, int]


@dataclass(frozen=True)
class NewPass:
    """The next pass, as one host proposes it: the server takes the first proposal. `whole`: it has every unit."""

    number: int
    entries: Tuple[int, ...]
    whole: bool


@dataclass(frozen=True)
class Exchange:
    """What a host asks. `epoch` is the queue that it knows, "" before the first answer.

    `fresh`: the run has just begun, and nothing can have been forgotten by anybody. `newest`, `seen`: the newest pass
    that the host knows, and how many passes of this queue it knows to be complete. `low`: with fewer units left than
    this another pass is wanted. `tell`: the answer is to say which units are done. `bye`: the host leaves, and gives
    back what it holds.
    """

    number: int
    epoch: str = ""
    fresh: bool = False
    newest: int = 0
    seen: int = 0
    want: int = 0
    low: int = 0
    settle: Tuple[Place, ...] = ()
    back: Tuple[Place, ...] = ()
    opens: Optional[NewPass] = None
    tell: bool = False
    bye: bool = False


@dataclass(frozen=True)
class Answer:
    """What the queue says. `counted` has one truth for each place that was settled.

    `gathering`: the queue had to be made anew, and waits until the hosts have told which passes they know. `lost`: the
    host was silent for longer than its lease, and its claims have gone to others. `opens`: the host is to propose the
    next pass. `over`: the passes that were completed, beyond those that the host knew of. `covered`: of the first pass.
    """

    number: int
    epoch: str
    gathering: bool
    lost: bool
    counted: Tuple[bool, ...]
    claims: Tuple[Place, ...]
    newest: int
    oldest: int
    over: Tuple[int, ...]
    covered: int
    opens: bool
    #: How many entries of the open passes nobody has claimed.
    left: int = 0
    #: The units that are done, for each pass that is not complete; where the host has asked.
    done: Tuple[Tuple[int, FrozenSet[int]], ...] = ()


@dataclass(frozen=True)
class Unreachable:
    """There is no answer, for this reason; the request is being repeated."""

    reason: str


Told = Union[Answer, Unreachable]


@dataclass(frozen=True)
class Membership:
    """Who asks: what all requests of a runner have in common. `limit`: so many passes are made, 0 for no limit."""

    run_id: str
    host: str
    #: Tells this runner from an earlier one of the same host.
    token: str
    units: int
    digest: str
    lease_s: float
    keep_s: float
    limit: int = 0

    @property
    def key(self) -> str:
        """The key of the queue. Its braces put all keys of a run into one slot of a cluster."""
        return f"sltfleet:{{{self.run_id}}}"


class MalformedAnswerError(ValueError):
    """What answered is not our script, or does not serve this run."""


def units_of_bitmap(bitmap: bytes) -> FrozenSet[int]:
    """Return the numbers of the bits that are set; the first bit is a byte's highest, as Redis has it."""
    return frozenset(
        8 * place + bit for place, byte in enumerate(bitmap) if byte for bit in range(8) if byte & (128 >> bit)
    )


def request_text(membership: Membership, exchange: Exchange) -> str:
    """Return the script's argument."""
    request: Dict[str, object] = {
        "member": f"{membership.host}/{membership.token}",
        "anew": f"{membership.token}-{exchange.number}",
        "digest": membership.digest,
        "lease_ms": int(membership.lease_s * 1000),
        "keep_s": int(membership.keep_s),
        "limit": membership.limit,
        **vars(exchange),
    }
    del request["opens"]  # where there is none: JSON's null is true to Lua
    if exchange.opens is not None:
        request["opens"] = vars(exchange.opens)
    return json.dumps(request, separators=(",", ":"))


def answer_from_text(text: bytes, units: int) -> Answer:
    """Return the script's answer, for a run of so many units. Raises MalformedAnswerError."""
    try:
        raw: Dict[str, Any] = json.loads(text)
        problem = raw.get("problem")
        if problem is not None:
            raise MalformedAnswerError(str(problem)[:200])
        answer = Answer(
            number=int(raw["number"]),
            epoch=str(raw["epoch"]),
            gathering=bool(raw["gathering"]),
            lost=bool(raw["lost"]),
            counted=tuple(one == 1 for one in raw["counted"]),  # an empty list is an empty object to Lua: the same here
            claims=tuple((int(number), int(unit)) for number, unit in raw["claims"]),
            newest=int(raw["newest"]),
            oldest=int(raw["oldest"]),
            over=tuple(int(number) for number in raw["over"]),
            covered=int(raw["covered"]),
            opens=bool(raw["opens"]),
            left=int(raw["left"]),
            done=tuple((int(number), units_of_bitmap(bytes.fromhex(bits))) for number, bits in raw["done"]),
        )
    except MalformedAnswerError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise MalformedAnswerError(f"the queue's answer is none: {error!r}"[:200]) from None
    if not all(-units <= unit < units and number > 0 for number, unit in answer.claims):
        raise MalformedAnswerError("the queue hands out units that this run does not have")
    return answer
