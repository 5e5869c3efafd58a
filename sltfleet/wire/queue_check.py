"""How a runner's `queue-check` answers: the one line that says whether this host can use the shared queue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar, Optional, Union

from sltfleet.wire.codec import DecodeError, decode_kind, to_text
from sltfleet.wire.handshake import MARKER


@dataclass(frozen=True)
class QueueReached:
    """The queue lets this host in and does what it is told. `server` is the process that answered: its `run_id`."""

    kind: ClassVar[str] = "queue-reached"
    server: str
    version: str
    #: The median of a few round trips.
    round_trip_s: float


@dataclass(frozen=True)
class QueueRefused:
    """The queue cannot be used from this host. `problem` is one of PROBLEMS, `message` what was said."""

    kind: ClassVar[str] = "queue-refused"
    problem: str
    message: str


#: name: no such host. refused: nobody listens. timeout: no answer. tls: no secure connection. password: not let in.
#: permission: let in, and not allowed to do what a queue needs. not-redis: somebody else listens. read-only: a replica.
#: client: redis-py does not work with this python3. other: see the message.
PROBLEMS = ("name", "refused", "timeout", "tls", "password", "permission", "not-redis", "read-only", "client", "other")

QueueAnswer = Union[QueueReached, QueueRefused]

_ANSWERS = (QueueReached, QueueRefused)


def queue_answer_to_line(answer: QueueAnswer) -> str:
    """Return the line, newline included."""
    return MARKER + to_text(answer) + "\n"


def queue_answer_from_output(output: str) -> Optional[QueueAnswer]:
    """Return the answer in what the command printed, None where there is none. Raises DecodeError if damaged."""
    _, mark, rest = output.rpartition(MARKER)
    if not mark:
        return None
    try:
        raw: object = json.loads(rest.split("\n", 1)[0])
    except (ValueError, RecursionError) as error:
        raise DecodeError("answer", f"is not JSON: {error}") from None
    answer: QueueAnswer = decode_kind(_ANSWERS, raw, "answer")
    return answer
