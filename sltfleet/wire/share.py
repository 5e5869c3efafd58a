"""What a runner must know of the other hosts of its run: the content of `share.json` in the run's folder on the host.

It is written when all hosts are ready, so that the members are those which really start. The file holds the queue's
secret: it is readable by nobody else (0600), and never fetched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Tuple

from sltfleet.wire.codec import decode
from sltfleet.wire.format import FORMAT_VERSION, check_format


@dataclass(frozen=True)
class Member:
    """A host of the run. `speed`: how many times as fast as the reference its workers are, one for one."""

    host: str
    workers: int
    speed: float = 1.0


@dataclass(frozen=True)
class QueueAccess:
    """The shared queue on Redis or Valkey. A host that is silent for `lease_s` loses its claims."""

    #: With its secret, which no representation of this object shows.
    url: str = field(repr=False)
    lease_s: float = 15.0


@dataclass(frozen=True)
class Share:
    """The hosts of a run, in an order that is the same on all of them; `host` is the one that reads this."""

    host: str
    members: Tuple[Member, ...]
    queue: Optional[QueueAccess] = None
    format: int = FORMAT_VERSION


def share_from_json(raw: object) -> Share:
    """Return the Share that a JSON value describes. Raises FormatError and DecodeError."""
    found = raw.get("format") if isinstance(raw, dict) else None
    check_format(found, "what is known of the run's hosts")
    return decode(Share, raw)
