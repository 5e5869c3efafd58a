"""A host of several is lost in the middle of a run: the others cover what was its own, and no attempt is lost."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

from sltfleet.demo.loopback import LoopbackHost
from sltfleet.wire.events import RunStarted
from sltfleet.wire.outcome import CUT, PASS
from tests.faults.campaign import Campaign, campaign
from tests.support.waiting import wait_for

HOSTS = ("alpha", "beta", "gamma")

#: On the host that will be lost, some are over soon and all others take until it is: it is lost in the middle.
TURNS = '[ -z "$TURNS" ] || echo >>"$TURNS"; [ -z "$TURNS" ] || [ "$(wc -l <"$TURNS")" -le 6 ] || sleep 1000'
UNITS = [f"{TURNS}; sleep 0.1; : {number}" for number in range(45)]


def kill_host(fleet: Campaign, host: str) -> None:
    """End it as a power cut would: no runner, no attempt, no sshd."""
    fleet.loopback.stop(host)
    fleet.kill_runner(host)
    while pids := fleet.attempts_alive(host):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def first_pass(fleet: Campaign, host: str) -> set[str]:
    return {event.unit for event in fleet.started(host) if event.pass_number == 1}


def covered(fleet: Campaign, host: str) -> set[str]:
    return {event.unit for event in fleet.finished(host) if event.outcome == PASS}


def test_a_host_that_is_killed_in_the_middle_costs_neither_a_unit_nor_an_attempt(odd_path: Path) -> None:
    lost_one = {"TURNS": str(odd_path / "turns")}
    hosts = [LoopbackHost(name, environment=lost_one if name == "beta" else {}) for name in HOSTS]
    with campaign(odd_path, UNITS, hosts) as fleet:
        person = fleet.person
        person.does("sync")
        started = person.does("run", "--detach", "--workers", "2", "--budget", "300s")
        assert "2 workers on 15 of 45 units" in started.stderr
        shares = []
        for host in HOSTS:
            first = fleet.journal(host)[0]
            assert isinstance(first, RunStarted)
            shares.append((first.members, first.share_units))
        assert shares == [(3, 15)] * 3

        wait_for(lambda: len(fleet.finished("beta")) >= 4, "attempts on the host that will be lost")
        kill_host(fleet, "beta")
        assert 4 <= len(first_pass(fleet, "beta")) < 15
        wait_for(
            lambda: {*covered(fleet, "alpha"), *covered(fleet, "gamma")} == set(UNITS), "what was left of its share"
        )
        person.does("stop", "--host", "alpha", "--host", "gamma")
        assert fleet.status()["beta"]["state"] == "unreachable"

        # What the lost host had not done was done by the others, after what was their own.
        fetched = person.types("fetch", "--format", "json")
        assert fetched.exit_code == 3, "one host is out of reach, and that is said"
        report = fetched.json()
        assert [host["host"] for host in report["hosts"]] == ["alpha", "gamma"]
        assert (report["summary"]["units_covered"], report["summary"]["units_total"]) == (45, 45)
        parts = [first_pass(fleet, host) for host in HOSTS]
        assert not parts[0] & parts[2]
        assert not parts[1] & (parts[0] | parts[2])
        assert len(parts[0]) == len(parts[2]) == 15

        # It comes back, with what it had finished. Now the books must be complete, and agree.
        fleet.loopback.start("beta")
        lost = fleet.status()["beta"]
        assert (lost["state"], lost["share_total"]) == ("lost", 15)
        report = person.types("fetch", "--format", "json").json()
        assert [host["host"] for host in report["hosts"]] == list(HOSTS)
        expect_every_attempt_in_the_books(fleet, report["summary"]["outcomes"])


def expect_every_attempt_in_the_books(fleet: Campaign, told: dict[str, int]) -> None:
    """Hold what the units logged themselves against the journals, and those against what `fetch` told."""
    finished = [(host, event) for host in HOSTS for event in fleet.finished(host)]
    assert Counter(event.outcome for _, event in finished) == Counter(told)
    assert set(told) <= {PASS, CUT}
    started = {(event.pid, event.unit): (host, event.attempt) for host in HOSTS for event in fleet.started(host)}
    passed = [(host, event.attempt) for host, event in finished if event.outcome == PASS]
    assert len(set(passed)) == len(passed)
    ended = Counter((pid, unit) for what, pid, unit in fleet.observed() if what == "end")
    assert set(ended.values()) == {1}
    # Of the lost host's, the journal may lack what ended in the very moment of its death: no more than its workers.
    unknown = [started.get(attempt) for attempt in ended if started.get(attempt) not in set(passed)]
    assert len([attempt for attempt in unknown if attempt is None or attempt[0] == "beta"]) <= 2
    over = {(host, event.attempt): event.outcome for host, event in finished}
    assert all(over[attempt] == CUT for attempt in unknown if attempt is not None and attempt[0] != "beta")
    assert {started[attempt] for attempt in ended if attempt in started} >= set(passed)
