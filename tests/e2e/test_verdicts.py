"""Verdicts that tell the truth: a suite that believes its lying binary is refused, and failures can be run again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import stopped_at_the_end
from tests.e2e.observer import make_observer
from tests.support.cli import Person

pytestmark = pytest.mark.cargo

UNITS = {
    "good.unit": "sleep 0.01\n",
    "liar's [1].unit": "complain row 1 of /x/1 differs\n",
    "liar2.unit": "complain row 22 of /x/2 differs\n",
    "honest.unit": "print 10\nfail no such table: t7\n",
}

#: Beside the suite `observer`, whose verdict reads the output: one that believes the exit code.
BELIEVER = """\
  believer:
    build: {test: observer}
    units: {kind: files, root: units, include: ["**/*.unit"]}
    env: {OBSERVER_UNIT: "{unit}", OBSERVER_PATH: "{path}"}
    canary: {passing: good.unit, failing: "liar's [1].unit"}
"""
CANARY = """    canary: {passing: good.unit, failing: "liar's [1].unit"}\n"""


def make_project(person: Person) -> Path:
    """The observer's project with both suites; return the host's root."""
    root = person.cwd.parent / "hosts"
    make_observer(person.cwd, {"localhost": {"transport": "local", "root": str(root)}}, UNITS)
    fleet = person.cwd / "fleet.yaml"
    fleet.write_text(fleet.read_text() + CANARY + BELIEVER)
    return root


def test_a_suite_whose_failing_canary_passes_is_refused(person: Person) -> None:
    root = make_project(person)
    with stopped_at_the_end(person):
        person.does("sync")
        refused = person.does("doctor", "--suite", "believer", code=7)
        assert "error localhost: verdict: the failing canary liar's [1].unit passed" in refused.stdout
        assert "fix: the executable exits with success although something failed" in refused.stdout

        # A run that is active is not in its way, and is not disturbed.
        person.does("run", "--suite", "observer", "--workers", "1", "--budget", "300s", "--detach")
        trusted = person.does("doctor", "--suite", "observer", "-v")
        assert "the failing canary liar's [1].unit failed: row 1 of /x/1 differs" in trusted.stdout
        (host,) = person.does("status", "--format", "json").json()["hosts"]
        assert (host["state"], host["run"]) == ("running", (root / "observed" / "current").read_text().strip())
    assert not (root / "observed" / "canary").exists()
    assert len(list((root / "observed" / "runs").iterdir())) == 1


def test_failures_show_as_their_causes_and_can_be_run_again(person: Person) -> None:
    make_project(person)
    with stopped_at_the_end(person):
        person.does("sync")
        person.does("run", "--suite", "observer", "--workers", "2", "--passes", "1", code=1)
        report = person.does("fetch", "--format", "json").json()
    causes = {cause["signature"]: cause["cases"] for cause in report["causes"]}
    assert causes == {
        "row <n> of <path> differs": ["liar's [1].unit", "liar2.unit"],
        "no such table: t<n>": ["honest.unit"],
    }
    run = report["run"]
    again = person.does("repro", run, "liar's [1].unit", "--times", "2", code=1)
    assert again.stdout.splitlines() == ["FAILED liar's [1].unit: row 1 of /x/1 differs"] * 2
    assert "2 of 2 did not pass" in again.stderr
    assert "fail after" in again.stderr
    person.does("repro", run[-6:], "good.unit", "--local")
    assert 'did you mean "honest.unit"' in person.does("repro", run, "honets.unit", code=6).stderr.replace("'", '"')

    line = person.does("repro", run, "honest.unit", "--print").stdout
    by_hand = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=200, check=False)
    assert by_hand.returncode == 1
    assert by_hand.stderr == "FAILED honest.unit: no such table: t7\n"

    person.does("clean", "--keep", "0", "--yes")
    gone = person.does("repro", run, "honest.unit", code=6)
    assert "its folder on the host is gone" in gone.stderr
