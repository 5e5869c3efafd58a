"""A journal and what its units logged, as they are where all adds up, for tests that then change one thing."""

from __future__ import annotations

from typing import Any

from soak_test.accounting import Harm, Story
from soak_test.ledger import Journal, Line
from soak_test.units import Seen

RUN, HOST = "20260101-000000-abcdef", "alpha"

#: The run began so many seconds after the machine.
ZERO_S = 1000.0


def attempt(number: int, unit: str = "pass-0.10", start_s: float = 0.0, **more: Any) -> tuple[Seen, Line, Line]:
    """Return what is seen of an attempt that lasts 0.12 s, 0.10 s of it by its own clock, and its two journal lines."""
    pid = 4000 + number
    seen = Seen(RUN, HOST, number, pid, 0, unit, "1", ZERO_S + start_s + 0.01, ZERO_S + start_s + 0.11, 0)
    common = {"attempt": number, "unit": unit, "worker": 0, "pass_number": 1, "seed": 7}
    start = {"kind": "attempt-started", "t": start_s, "pid": pid, **common}
    end = {
        "kind": "attempt-finished",
        "t": start_s + 0.12,
        "duration_s": 0.12,
        "outcome": "pass",
        "exit_code": 0,
        "signal": None,
        "passed": [unit],
        "failed": [],
        "message": "",
        "survivors": 0,
        **common,
    }
    return seen, start, {**end, **more}


def head(**more: Any) -> Line:
    """Return the first line of a journal."""
    line = {"kind": "run-started", "t": 0.0, "run_id": RUN, "host": HOST, "workers": 1, "budget_s": 10.0}
    return {**line, "units": ["pass-0.10", "fail-0.02"], **more}


def tail(**more: Any) -> Line:
    """Return the last line of a journal."""
    return {"kind": "run-finished", "t": 10.0, "reason": "budget", **more}


def journal(*lines: Line, **more: Any) -> Journal:
    """Return the journal of these lines."""
    return Journal(RUN, HOST, lines, **more)


def story(count: int = 3, *harms: Harm) -> Story:
    """Return a story without a flaw: attempts one after the other."""
    made = [attempt(number, start_s=0.2 * number) for number in range(1, count + 1)]
    lines = [line for _, start, end in made for line in (start, end)]
    return Story(journal(head(), *lines, tail()), tuple(seen for seen, _, _ in made), harms)


def harm(kind: str, start_s: float, end_s: float | None = None, *pids: int) -> Harm:
    """Return a harm, in seconds of the run."""
    return Harm(kind, RUN, HOST, ZERO_S + start_s, ZERO_S + (start_s if end_s is None else end_s), frozenset(pids))
