"""Verdicts: the rules by cases in tests/cases/verdicts, the conclusions by values."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.runner.verdicts import (
    MAX_MESSAGE_CHARS,
    MAX_MESSAGES,
    MAX_NAME_CHARS,
    CutShort,
    TimedOut,
    Verdict,
    conclude,
    judge_exit_code,
    judge_json,
    judge_libtest,
    judge_output,
)
from sltfleet.wire.codec import decode_kind
from sltfleet.wire.events import FailedCase
from sltfleet.wire.spec import ExitCodeVerdict, JsonVerdict, LibtestVerdict, OutputVerdict

CASES = sorted((Path(__file__).parents[2] / "cases" / "verdicts").glob("*.json"))
RULE = JsonVerdict("r.json", "p", "f")


def judge(case: dict[str, Any]) -> Verdict:
    rule = decode_kind((ExitCodeVerdict, OutputVerdict, JsonVerdict, LibtestVerdict), case["rule"])
    if isinstance(rule, JsonVerdict):
        return judge_json(rule, case["exit_code"], json.dumps(case["document"]).encode())
    if isinstance(rule, OutputVerdict):
        return judge_output(rule, case["unit"], case["exit_code"], case["output"].encode())
    if isinstance(rule, LibtestVerdict):
        return judge_libtest(case["tests"], case["prefix"], case["exit_code"], case["output"].encode())
    return judge_exit_code(rule, case["unit"], case["exit_code"])


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_case_gets_its_verdict(path: Path) -> None:
    case = json.loads(path.read_text())
    verdict = judge(case)
    assert {
        "outcome": verdict.outcome,
        "passed": list(verdict.passed),
        "failed": [[failed.name, failed.message] for failed in verdict.failed],
        "message": verdict.message,
        "running": [verdict.running.name, verdict.running.message] if verdict.running else None,
        "skipped": list(verdict.skipped),
    } == {"running": None, "skipped": [], **case["expected"]}, case["about"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["p", "f", "name", "file", "message", "x"]), inner)
        ),
    )
)
def test_no_json_document_makes_the_runner_fail(document: object) -> None:
    verdict = judge_json(RULE, 0, json.dumps(document).encode())
    assert verdict.outcome in ("pass", "fail", "skip")


@given(st.binary())
def test_no_bytes_make_the_runner_fail(document: bytes) -> None:
    assert judge_json(RULE, 0, document).outcome in ("pass", "fail", "skip")
    assert judge_output(OutputVerdict(("p(?P<case>.)",), ("f(?P<message>.*)",)), "u", 0, document).outcome != "crash"


def test_a_document_nested_too_deeply_is_a_failure_that_says_so() -> None:
    verdict = judge_json(RULE, 0, b"[" * 100_000)
    assert verdict.outcome == "fail"
    assert "is not JSON" in verdict.message


def test_names_and_messages_are_cut_and_after_many_failures_only_names_are_kept() -> None:
    failed = [{"name": f"{number}" + "n" * 1000, "message": "m" * 5000} for number in range(MAX_MESSAGES + 5)]
    verdict = judge_json(RULE, 0, json.dumps({"p": [], "f": failed}).encode())
    assert len(verdict.failed) == MAX_MESSAGES + 5
    assert all(len(case.name) == MAX_NAME_CHARS for case in verdict.failed)
    assert {len(case.message) for case in verdict.failed[:MAX_MESSAGES]} == {MAX_MESSAGE_CHARS}
    assert {case.message for case in verdict.failed[MAX_MESSAGES:]} == {""}


PASSED = Verdict("pass", ("x",))


def test_what_the_run_cut_has_no_cases() -> None:
    assert conclude(PASSED, "u", 0, None, CutShort("budget")) == Verdict("cut", message="ended with the run (budget)")


def test_what_timed_out_keeps_the_cases_that_passed_before_and_names_the_unit() -> None:
    verdict = conclude(PASSED, "u", 0, None, TimedOut(2.5))
    assert verdict == Verdict("timeout", ("x",), (FailedCase("u", "timed out after 2.5 s"),), "timed out after 2.5 s")


@pytest.mark.parametrize(("number", "name"), [(signal.SIGABRT, "SIGABRT"), (signal.SIGRTMIN + 3, "signal 37")])
def test_a_signal_that_the_runner_did_not_send_is_a_crash(number: int, name: str) -> None:
    verdict = conclude(Verdict("fail"), "u", None, number, None)
    assert verdict == Verdict("crash", (), (FailedCase("u", f"ended by {name}"),), f"ended by {name}")


def test_a_failure_without_cases_is_the_units() -> None:
    assert conclude(Verdict("fail"), "u", 4, None, None).failed == (FailedCase("u", "exit code 4"),)


def test_a_pass_stays_as_it_is() -> None:
    assert conclude(PASSED, "u", 0, None, None) is PASSED
