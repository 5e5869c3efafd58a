"""The one line with which a runner's `prepare`, `launch`, `resume` and `stop` commands answer, behind a marker.

A login shell may print before it, so the reader looks for the marker and takes the JSON that follows on that line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar, Optional, Tuple, Union

from sltfleet.wire.codec import DecodeError, decode_kind, to_text
from sltfleet.wire.state import Identity

MARKER = "@sltfleet-handshake@ "


@dataclass(frozen=True)
class Prepared:
    """The run's folder has all that the run needs; nothing runs yet.

    `units` is how many there are, `units_digest` tells whether they are the same as those of another host: SHA-256 over
    their sorted ids (as a JSON list), in hex.
    """

    kind: ClassVar[str] = "prepared"
    run_id: str
    workers: int
    units: int
    units_digest: str


@dataclass(frozen=True)
class Launched:
    """The runner runs, in a session of its own."""

    kind: ClassVar[str] = "launched"
    identity: Identity
    run_id: str
    workers: int
    units: int
    python: str
    #: How many units of the first pass are this host's, None for all.
    share_units: Optional[int] = None
    #: How far the run's clock is: not at its beginning where it was resumed.
    elapsed_s: float = 0.0
    #: The run before this one, where its runner was lost.
    lost_run_id: str = ""


@dataclass(frozen=True)
class Refused:
    """The runner was not started. `message` says what, `fix` what to do next.

    `problem` is one word. no-units: nothing matches. active: another run is active here. spec: it cannot be read. tree:
    the snapshot or the binary cannot be made. start: the runner did not come up. finished: the run came to its own end,
    and is not resumed.
    """

    kind: ClassVar[str] = "refused"
    problem: str
    message: str
    fix: str = ""
    #: The active run, for `active`.
    run_id: str = ""


@dataclass(frozen=True)
class Stopped:
    """Answer of `stop`.

    `was_running` is False where there was nothing to stop; `survivors` are the pids that could not be ended in time.
    """

    kind: ClassVar[str] = "stopped"
    run_id: str
    was_running: bool
    survivors: Tuple[int, ...] = ()


Answer = Union[Prepared, Launched, Refused, Stopped]

_ANSWERS = (Prepared, Launched, Refused, Stopped)


def answer_to_line(answer: Answer) -> str:
    """Return the line, newline included."""
    return MARKER + to_text(answer) + "\n"


def answer_from_output(output: str) -> Optional[Answer]:
    """Return the last answer in what a command printed, None where there is none. Raises DecodeError if damaged."""
    place = output.rfind(MARKER)
    if place < 0:
        return None
    line = output[place + len(MARKER) :].split("\n", 1)[0]
    try:
        raw: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DecodeError("answer", f"is not JSON: {error}") from None
    answer: Answer = decode_kind(_ANSWERS, raw, "answer")
    return answer
