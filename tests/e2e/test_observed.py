"""sltfleet's numbers, held against an observer that the runner does not control: tests that log their own lives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import stopped_at_the_end
from tests.e2e.observer import busy_share, make_observer, read_log
from tests.support.cli import Person

pytestmark = [pytest.mark.cargo, pytest.mark.xdist_group("measured")]


def local_host(person: Person) -> dict[str, dict[str, object]]:
    """One local host that works below the test's own folder."""
    return {"localhost": {"transport": "local", "root": str(person.cwd.parent / "hosts")}}


def journal_of(person: Person) -> list[dict[str, object]]:
    """The newest run's journal, as it was fetched."""
    path = sorted((person.cwd / ".sltfleet" / "runs").glob("*/localhost/journal.jsonl"))[-1]
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_tests_own_log_agrees_that_no_worker_was_idle(person: Person) -> None:
    # So long that what a loaded machine takes to start a process is a small part of it.
    units = {f"{index:02}.unit": f"sleep {1 + 0.2 * (index % 4)}\n" for index in range(10)}
    log = make_observer(person.cwd, local_host(person), units)
    with stopped_at_the_end(person):
        person.does("sync")
        person.does("run", "--workers", "4", "--budget", "11s")
        report = person.does("fetch", "--format", "json").json()

    attempts = read_log(log)
    begin_s = next(event["wall_s"] for event in journal_of(person) if event["kind"] == "run-started")
    assert isinstance(begin_s, float)
    observed = busy_share(attempts, 4, begin_s, 11.0)
    claimed = report["hosts"][0]["utilization"]["occupancy"]
    # Starting a process takes its time before the test can log: the claim may be above, never far.
    assert observed <= claimed + 0.005
    assert claimed - observed < 0.1
    assert observed > 0.8
    assert {attempt.unit for attempt in attempts} == set(units)


def test_every_attempt_that_the_tests_logged_is_in_the_journal_exactly_once(person: Person) -> None:
    units = {f"{index}.unit": "sleep 0.05\n" for index in range(6)}
    log = make_observer(person.cwd, local_host(person), units)
    with stopped_at_the_end(person):
        person.does("sync")
        person.does("run", "--workers", "3", "--budget", "3s")
        person.does("fetch")

    journal = journal_of(person)
    started = [(event["pid"], event["unit"]) for event in journal if event["kind"] == "attempt-started"]
    finished = [event["attempt"] for event in journal if event["kind"] == "attempt-finished"]
    observed = [(attempt.pid, attempt.unit) for attempt in read_log(log)]
    assert set(observed) <= set(started)
    # An attempt may be cut before its first line; nothing else is missing.
    assert len(started) - len(observed) <= 3
    assert len(finished) == len(set(finished)) == len(started)


def test_bad_tests_get_their_verdicts_and_the_others_go_on(person: Person) -> None:
    units = {
        "good.unit": "sleep 0.05\n",
        "bad.unit": "fail two plus two is four\n",
        "crash.unit": "crash\n",
        "hang.unit": "sleep 600\n",
        "stubborn.unit": "stubborn\nsleep 600\n",
        "loud.unit": f"print {1024 * 1024 * 1024}\n",
    }
    make_observer(person.cwd, local_host(person), units, timeout="8s")
    with stopped_at_the_end(person):
        person.does("sync")
        person.does("run", "--workers", "3", "--budget", "200s", "--passes", "1", code=1)
        fetched = person.does("fetch")

    outcomes: dict[object, set[object]] = {}
    for event in journal_of(person):
        if event["kind"] == "attempt-finished":
            outcomes.setdefault(event["unit"], set()).add(event["outcome"])
    # The gigabyte is written or timed out, as the disk is; it is never in anybody's way.
    assert outcomes.pop("loud.unit") <= {"pass", "timeout"}
    assert outcomes == {
        "good.unit": {"pass"},
        "bad.unit": {"fail"},
        "crash.unit": {"crash"},
        "hang.unit": {"timeout"},
        "stubborn.unit": {"timeout"},
    }
    assert "two plus two is four" in fetched.stdout
    kept = sum(
        path.stat().st_blocks * 512 for path in Path(person.cwd, ".sltfleet", "runs").rglob("*") if path.is_file()
    )
    assert kept < 2 * 1024 * 1024
