"""Canaries: two units of which it is known how they end, held against what a suite's verdict makes of them.

Real suites lie: a binary exits 0 although files failed, and a launcher that believes it records failures as passes.
Whoever sets up a suite names a unit that fails; where that one passes, no green table of the suite is worth anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from sltfleet.core.findings import Finding, Level
from sltfleet.core.paths import HostPaths
from sltfleet.core.shell import ROOT_PRELUDE, Script
from sltfleet.wire.events import AttemptFinished
from sltfleet.wire.outcome import CRASH, FAIL, OOM, PASS, SKIP, TIMEOUT

#: What the findings are about.
CHECK = "verdict"

#: For each kind of verdict, what may be wrong with it where a failure is not seen.
_UNSEEN = {
    "exit-code": "the executable exits with success although something failed: let `verdict` read its output "
    "(kind: output) or a file that it writes (kind: json)",
    "output": "no pattern of `verdict.failed` matches what the unit prints when it fails: "
    "`sltfleet run --unit UNIT` keeps its output",
    "json": "the list that `verdict.failed` names lacks the failing case: look at the file that the unit writes",
}
_OTHERWISE = "look at the suite's `verdict` in fleet.yaml"

_REMOVE = (
    ROOT_PRELUDE
    + """\
cd -P "$root" 2>/dev/null || exit 0
rm -rf -- "./$1"
cd .. && rmdir canary 2>/dev/null
exit 0
"""
)


def remove_script(paths: HostPaths, run_id: str) -> Script:
    """Return the script that deletes what a run of the canaries left; `paths` are the project's."""
    return Script(_REMOVE, (paths.canary(run_id).root, run_id))


def judge_canaries(
    passing: str, failing: str, attempts: Mapping[str, AttemptFinished], verdict: str
) -> tuple[Finding, Finding]:
    """Return what the canaries' attempts (by unit) say of a suite whose verdict is of the kind `verdict`."""
    return _passing(passing, attempts.get(passing)), _failing(failing, attempts.get(failing), verdict)


def _passing(unit: str, attempt: AttemptFinished | None) -> Finding:
    if attempt is None:
        return _never_ran("passing", unit)
    if attempt.outcome == PASS:
        return Finding(Level.OK, CHECK, f"the passing canary {unit} passed")
    text = f"the passing canary {unit} did not pass ({attempt.outcome}): {_said(attempt)}"
    fix = "if it passes otherwise, `verdict` or `env` of the suite is wrong; if not, name another `canary.passing`"
    return Finding(Level.ERROR, CHECK, text, fix)


def _failing(unit: str, attempt: AttemptFinished | None, verdict: str) -> Finding:
    if attempt is None:
        return _never_ran("failing", unit)
    if attempt.outcome == FAIL:
        return Finding(Level.OK, CHECK, f"the failing canary {unit} failed: {_said(attempt)}")
    if attempt.outcome in (PASS, SKIP):
        text = f"the failing canary {unit} passed: {_said(attempt)}; this suite's verdicts cannot be trusted"
        return Finding(Level.ERROR, CHECK, text, _UNSEEN.get(verdict, _OTHERWISE))
    if attempt.outcome in (TIMEOUT, CRASH, OOM):
        text = f"the failing canary {unit} did not fail by itself: {_said(attempt)}; that says nothing of the verdict"
        return Finding(Level.WARNING, CHECK, text, "name another `canary.failing`, one whose test itself says no")
    text = f"the failing canary {unit} came to no verdict ({attempt.outcome}): {_said(attempt)}"
    return Finding(Level.ERROR, CHECK, text, "try again; `sltfleet run --unit UNIT` shows more")


def _never_ran(role: str, unit: str) -> Finding:
    text = f"the suite has no unit {unit}, which `canary.{role}` names"
    return Finding(Level.ERROR, CHECK, text, f"name a unit that is there in `canary.{role}`, and sync first")


def _said(attempt: AttemptFinished) -> str:
    if attempt.message:
        return attempt.message
    code = f"exit code {attempt.exit_code}" if attempt.signal is None else f"signal {attempt.signal}"
    return f"{code}, {len(attempt.passed)} cases passed, {len(attempt.failed)} failed"
