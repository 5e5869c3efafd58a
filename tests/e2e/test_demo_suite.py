"""The demo suite on a fleet of three hosts: occupancy, coverage, verdicts, and `--once` beside looping."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.cli import Person
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.cargo, pytest.mark.xdist_group("measured")]

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"

#: Of the real files' results, regenerated for MySQL by their publisher, these do not hold on SQLite.
NOT_SQLITE = {"evidence/slt_lang_aggfunc.test", "evidence/slt_lang_droptrigger.test"}


def test_every_worker_is_busy_every_file_covered_and_the_failing_ones_are_named(demo_fleet: Person) -> None:
    person = demo_fleet
    person.does("sync")
    person.does("doctor", "--suite", "sqllogictest")
    person.does("run", "--workers", "4", "--budget", "30s", "--seed", "1", code=1)

    report = person.does("fetch", "--format", "json").json()

    for host in report["hosts"]:
        found = host["utilization"]
        assert found["units_total"] == 120, host
        assert found["passes"] >= 1, host
        assert found["occupancy"] >= 0.9, host  # a quiet machine reaches 99.8 %: this one is full of tests
    assert report["summary"]["units_covered"] == 120
    assert sum(host["utilization"]["share_units"] for host in report["hosts"]) == 120
    failing = {case["case"] for case in report["failing"]}
    assert len([name for name in failing if name.startswith("honest-failures/")]) == 3
    causes = {cause["signature"].partition(":")[0]: cause["cases"] for cause in report["causes"]}
    assert set(causes) == {"line <n>"}
    assert failing == {case for cause in report["causes"] for case in cause["cases"]}
    flaky = {found["name"] for found in report["flaky"]}
    assert flaky <= {"flaky/flaky_by_design.test"}

    # Each failure can be run again, over ssh as well.
    wanted = (report["run"], "honest-failures/wrong_expected_value.test", "--host", "beta")
    assert "expected `41`, got `42`" in person.does("repro", *wanted, code=1).stdout
    assert person.does("repro", *wanted, "--print").stdout.startswith("ssh -F ")


def test_a_killed_controller_changes_nothing_on_the_hosts(demo_fleet: Person) -> None:
    person = demo_fleet
    person.does("sync")
    watched = person.start("run", "--workers", "2", "--budget", "25s")

    def running() -> bool:
        hosts = person.types("status", "--format", "json").json()["hosts"]
        return all(host["state"] == "running" for host in hosts)

    wait_for(running, "a run on all hosts")
    os.killpg(watched.pid, signal.SIGKILL)
    watched.communicate()

    assert running(), "the runners live on without their controller"
    # The controller's memory is lost as well: a new one, elsewhere, has nothing but fleet.yaml.
    elsewhere = person.cwd.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "repo").mkdir()
    shutil.copy(person.cwd / "fleet.yaml", elsewhere)
    with Person(elsewhere, person.home, dict(person.environ)) as other:
        other.does("status", "--watch")
        states = other.does("status", "--format", "json").json()["hosts"]
        assert [host["state"] for host in states] == ["finished"] * 3
        report = other.does("fetch", "--format", "json").json()
        assert all(host["utilization"]["attempts"] > 0 for host in report["hosts"])


def test_the_story_before_and_after_stands_in_one_table(demo_fleet: Person) -> None:
    person = demo_fleet
    person.does("sync", "--host", "localhost")
    common = ("--host", "localhost", "--suite", "story", "--workers", "8", "--budget", "15s", "--seed", "1")
    person.types("run", *common, "--once")
    person.does("fetch", "--host", "localhost", "--no-tables")
    person.types("run", *common)
    person.does("fetch", "--host", "localhost", "--no-tables")

    before, after = person.does("compare", "--format", "json").json()["runs"]

    assert (before["once"], after["once"]) == (True, False)
    assert after["summary"]["occupancy"] > 0.9 > before["summary"]["occupancy"]
    assert after["summary"]["attempts"] > before["summary"]["attempts"]
    table = person.does("compare").stdout
    for row in ("active workers", "worker occupancy", "runtime per worker", "cases per worker", "units covered"):
        assert row in table


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no ../shared/corpus beside this repository")
def test_real_sqllogictest_files_run_through_the_fleet(demo_fleet: Person) -> None:
    person = demo_fleet
    corpus = person.cwd / "repo" / "corpus"
    shutil.rmtree(corpus)
    shutil.copytree(CORPUS, corpus)
    for path in [corpus, *corpus.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    files = {str(path.relative_to(corpus)) for path in corpus.rglob("*.test")}
    person.does("sync", "--host", "alpha")

    person.does("run", "--host", "alpha", "--workers", "4", "--passes", "1", "--budget", "120s", code=1)

    report = person.does("fetch", "--host", "alpha", "--format", "json").json()
    (host,) = report["hosts"]
    found = host["utilization"]
    assert found["units_covered"] == found["units_total"] == len(files)
    failing = {case["case"] for case in report["failing"]}
    assert failing == NOT_SQLITE
