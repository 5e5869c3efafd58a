"""What the controller asks of the runner's `repro` command, and the lines with which it answers.

The output of the attempts comes on the same stream, so every answer stands on a line of its own behind the request's
`mark`, which is new each time: a test cannot print an answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar, Dict, Optional, Tuple, Union

from sltfleet.wire.codec import DecodeError, decode, decode_kind, to_text
from sltfleet.wire.format import FORMAT_VERSION, check_format


@dataclass(frozen=True)
class ReproRequest:
    """Run an attempt of a run again, `times` times one after the other; with `describe` only say how.

    `remaining_s` was left of the budget when the attempt started. `build_digest` is that of the executable it ran.
    `timeout_s` is what its process could take, 0 where nobody knows.
    """

    attempt: int
    unit: str
    worker: int
    pass_number: int
    seed: int
    remaining_s: float
    build_digest: str
    mark: str
    times: int = 1
    describe: bool = False
    timeout_s: float = 0.0
    format: int = FORMAT_VERSION


@dataclass(frozen=True)
class Reproduced:
    """The attempt ran for the `number`-th time, from 1. Exactly one of `exit_code` and `signal` is set."""

    kind: ClassVar[str] = "reproduced"
    number: int
    outcome: str
    duration_s: float
    exit_code: Optional[int] = None
    signal: Optional[int] = None
    message: str = ""


@dataclass(frozen=True)
class Described:
    """How the attempt is run: `argv` in `folder`, with `env` on top of the login's environment."""

    kind: ClassVar[str] = "described"
    folder: str
    argv: Tuple[str, ...]
    env: Dict[str, str]


@dataclass(frozen=True)
class NotReproduced:
    """It was not run. `gone`: there is no such run here, or it was cleaned up, and nothing can be done about it."""

    kind: ClassVar[str] = "not-reproduced"
    message: str
    fix: str = ""
    gone: bool = False


ReproAnswer = Union[Reproduced, Described, NotReproduced]

_ANSWERS = (Reproduced, Described, NotReproduced)


def request_to_text(request: ReproRequest) -> str:
    """Return the request as one word of a command line."""
    return to_text(request)


def request_from_text(text: str) -> ReproRequest:
    """Return the request that a word describes. Raises DecodeError and FormatError."""
    try:
        raw: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError("request", f"is not JSON: {error}") from None
    check_format(raw.get("format") if isinstance(raw, dict) else None, "the request")
    return decode(ReproRequest, raw, "request")


def repro_line(mark: str, answer: ReproAnswer) -> str:
    """Return the line of an answer, newline included."""
    return f"{mark} {to_text(answer)}\n"


def answer_of_line(mark: str, line: str) -> Optional[ReproAnswer]:
    """Return the answer in a line, None for one that the attempt printed. Raises DecodeError."""
    head, _, text = line.partition(" ")
    if head != mark:
        return None
    try:
        raw: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError("answer", f"is not JSON: {error}") from None
    answer: ReproAnswer = decode_kind(_ANSWERS, raw, "answer")
    return answer
