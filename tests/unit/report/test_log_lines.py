from __future__ import annotations

import click
import pytest

from sltfleet.report.log_lines import log_line
from sltfleet.wire.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    FailedCase,
    Note,
    PassFinished,
    RunFinished,
    RunStarted,
    Sample,
    WorkerStarted,
    WorkerStopped,
)
from sltfleet.wire.state import Identity
from tests.support.golden import check_golden
from tests.support.states import RUN_ID

HOSTILE = "\x1b[2J\r\n‮evil"


def started(run_id: str = RUN_ID) -> RunStarted:
    return RunStarted(
        t=0.0,
        run_id=run_id,
        project="p",
        host="alpha",
        suite="s",
        wall_s=0.0,
        identity=Identity("b", 1, 1),
        workers=64,
        units=("a", "b"),
        budget_s=3600.0,
        seed=7,
        once=False,
        build_digest="",
        commit="",
        dirty_digest="",
        toolchain="",
        cores=2.0,
        memory_bytes=1,
        sltfleet_version="0.1.0",
    )


def attempt(outcome: str, **more: object) -> AttemptFinished:
    plain: dict[str, object] = {
        "t": 9.0,
        "attempt": 3,
        "unit": "index/slt_good_2.test",
        "worker": 7,
        "pass_number": 2,
        "seed": 7,
        "outcome": outcome,
        "duration_s": 1.25,
    }
    return AttemptFinished(**{**plain, **more})  # type: ignore[arg-type]


EVENTS: list[Event] = [
    started(),
    WorkerStarted(0.0, 1),
    AttemptStarted(0.0, 1, "u", 1, 1, 7, 4711),
    attempt("pass", passed=("c",)),
    attempt("fail", passed=("c",), failed=(FailedCase("d", "expected 1\nfound 2"), FailedCase("e"))),
    attempt("timeout", duration_s=300.0, message="timed out after 300 s"),
    attempt("crash", signal=11, message="SIGSEGV"),
    attempt("cut", duration_s=0.01),
    attempt("infra", message="cannot start: no such file"),
    Sample(1.0, 99.0, 1, 64, 1, 0.1),
    PassFinished(75.0, 1, 620),
    Note(76.0, "the disk is nearly full"),
    WorkerStopped(90.0, 1, 90.0, 89.9, 12, "budget"),
    RunFinished(90.0, "budget", 3, 1900, 620),
]


def lines(*, only_bad: bool) -> str:
    shown = (log_line("alpha", event, "", only_bad=only_bad) for event in EVENTS)
    return click.unstyle("\n".join(line for line in shown if line is not None))


def test_what_happens_has_one_line_each_and_what_is_too_much_has_none() -> None:
    check_golden("status/log.txt", lines(only_bad=False))


def test_with_failed_only_attempts_that_did_not_pass_have_a_line() -> None:
    check_golden("status/log_failed.txt", lines(only_bad=True))


def test_a_line_of_the_runner_s_own_log_is_shown_as_it_is_though_visible() -> None:
    for only_bad in (False, True):
        line = log_line("alpha", None, "Traceback \x1b[2J", only_bad=only_bad)
        assert line is not None
        assert click.unstyle(line) == "alpha Traceback ␛[2J"


@pytest.mark.parametrize(
    "event",
    [
        started(HOSTILE),
        attempt(HOSTILE, unit=HOSTILE, message=HOSTILE),
        attempt("fail", failed=(FailedCase(HOSTILE, HOSTILE),)),
        Note(1.0, HOSTILE),
        RunFinished(1.0, HOSTILE, 1, 1, 1),
    ],
)
def test_nothing_of_an_event_reaches_the_terminal_unseen(event: Event) -> None:
    line = log_line(HOSTILE, event, "", only_bad=False)
    assert line is not None
    assert not set(click.unstyle(line)) & set("\x1b\r\n‮")


def test_a_long_message_is_cut() -> None:
    line = log_line("alpha", attempt("fail", message="x" * 10_000), "", only_bad=False)
    assert line is not None
    assert len(line) < 400


def test_a_unit_that_is_its_only_case_is_not_counted() -> None:
    line = log_line("alpha", attempt("fail", failed=(FailedCase("d", "expected 1"),)), "", only_bad=True)
    assert click.unstyle(line or "").endswith("index/slt_good_2.test: expected 1")
