from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sltfleet.core.canary import judge_canaries, remove_script
from sltfleet.core.findings import Finding, Level
from sltfleet.core.paths import HostPaths
from sltfleet.core.shell import script_input
from sltfleet.wire.events import AttemptFinished, FailedCase


def attempt(unit: str, outcome: str, message: str = "") -> AttemptFinished:
    failed = (FailedCase(unit, message),) if outcome == "fail" else ()
    return AttemptFinished(
        1.0, 1, unit, 0, 1, 0, outcome, 0.5, exit_code=0, passed=("x",), failed=failed, message=message
    )


def judged(passing: str, failing: str, verdict: str = "exit-code", message: str = "") -> tuple[Finding, Finding]:
    attempts = {"good": attempt("good", passing, message), "bad": attempt("bad", failing, message)}
    return judge_canaries("good", "bad", attempts, verdict)


def test_canaries_that_end_as_they_should_are_fine() -> None:
    assert [finding.level for finding in judged("pass", "fail")] == [Level.OK, Level.OK]


@pytest.mark.parametrize("verdict", ["exit-code", "output", "json", "one that is yet to come"])
@pytest.mark.parametrize("outcome", ["pass", "skip"])
def test_a_failing_canary_that_does_not_fail_is_an_error_with_a_fix_for_its_verdict(verdict: str, outcome: str) -> None:
    _, finding = judged("pass", outcome, verdict)
    assert finding.level is Level.ERROR
    assert "the failing canary bad passed: exit code 0, 1 cases passed, 0 failed" in finding.text
    assert "verdict" in finding.fix or "list" in finding.fix


@pytest.mark.parametrize("outcome", ["fail", "timeout", "crash", "oom", "cut", "infra", "skip"])
def test_a_passing_canary_that_does_not_pass_is_an_error(outcome: str) -> None:
    finding, _ = judged(outcome, "fail", message="no file")
    assert finding.level is Level.ERROR
    assert f"({outcome}): no file" in finding.text
    assert finding.fix


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        ("timeout", Level.WARNING),
        ("crash", Level.WARNING),
        ("oom", Level.WARNING),
        ("cut", Level.ERROR),
        ("infra", Level.ERROR),
    ],
)
def test_a_failing_canary_that_was_ended_proves_nothing(outcome: str, level: Level) -> None:
    _, finding = judged("pass", outcome, message="timed out")
    assert finding.level is level
    assert "timed out" in finding.text


def test_a_canary_that_is_no_unit_is_an_error_that_names_its_key() -> None:
    findings = judge_canaries("good", "bad", {}, "json")
    assert [finding.level for finding in findings] == [Level.ERROR] * 2
    assert ["canary.passing" in findings[0].text, "canary.failing" in findings[1].text] == [True, True]


def test_removing_takes_one_run_of_the_canaries_and_nothing_else(odd_path: Path) -> None:
    paths = HostPaths(str(odd_path), "p")
    for name in ("one", "two"):
        (odd_path / "p" / "canary" / name / "runs").mkdir(parents=True)
    (odd_path / "p" / "runs").mkdir()

    def remove(run_id: str) -> None:
        subprocess.run(["sh"], input=script_input(remove_script(paths, run_id), "@"), check=True, capture_output=True)

    remove("one")
    assert [entry.name for entry in (odd_path / "p" / "canary").iterdir()] == ["two"]
    remove("two")
    remove("two")
    assert [entry.name for entry in (odd_path / "p").iterdir()] == ["runs"]
