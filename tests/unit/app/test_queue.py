"""The shared queue as doctor and run see it: hosts whose answers are made up, in a fleet of local hosts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app.doctor import check_controller, doctor
from sltfleet.app.fleet import Fleet
from sltfleet.app.progress import ProgressEvent, Warned, silent
from sltfleet.app.queue import queue_for_run
from sltfleet.config.queue_url import read_queue_url
from sltfleet.core.errors import ConnectError, RunError
from sltfleet.core.findings import Level
from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult, LineSink
from sltfleet.transport.local import LocalTransport
from sltfleet.wire.queue_check import QueueAnswer, QueueReached, QueueRefused, queue_answer_to_line
from tests.support.local_fleet import local_fleet

URL = "redis://:s3cr3t@localhost:7000"
NEAR, OTHER = QueueReached("abc", "7.0.15", 0.0003), QueueReached("xyz", "7.0.15", 0.0003)
AWAY = QueueRefused("refused", "Connection refused")


class Answering(LocalTransport):
    """A host that answers the queue check as it is told (None: it is down), and all else as this machine does."""

    def __init__(self, host: str, answer: QueueAnswer | None) -> None:
        super().__init__(host)
        self.answer = answer

    def run(self, script: Script, *, timeout_s: float, on_line: LineSink | None = None) -> CommandResult:
        if "queue-check" not in script.body:
            return super().run(script, timeout_s=timeout_s, on_line=on_line)
        assert "s3cr3t" not in script.body + " ".join(script.args)
        assert dict(script.files)["url"] == URL.encode()
        if self.answer is None:
            raise ConnectError("cannot connect", "connection refused")
        return CommandResult(0, queue_answer_to_line(self.answer), "", "", 0.1)


def fleet_with(folder: Path, **answers: QueueAnswer | None) -> Fleet:
    roots = {name: str(folder / name) for name in answers}
    fleet = local_fleet(folder, roots, {name: Answering(name, answer) for name, answer in answers.items()})
    return replace(fleet, loaded=replace(fleet.loaded, queue=read_queue_url(URL)))


def warnings_of(fleet: Fleet) -> tuple[bool, list[Warned]]:
    """Whether the run has a queue, and what was warned of."""
    events: list[ProgressEvent] = []
    access = queue_for_run(fleet, fleet.hosts, events.append)
    assert access is None or access.url == URL
    assert "s3cr3t" not in f"{access} {events}"
    return access is not None, [event for event in events if isinstance(event, Warned)]


def test_hosts_that_reach_the_queue_share_it_without_a_word(tmp_path: Path) -> None:
    assert warnings_of(fleet_with(tmp_path, alpha=NEAR, beta=NEAR)) == (True, [])


def test_a_queue_out_of_reach_is_warned_of_and_the_run_goes_on(tmp_path: Path) -> None:
    shared, (warning,) = warnings_of(fleet_with(tmp_path, alpha=NEAR, beta=AWAY))
    assert shared
    assert warning.host == "beta"
    assert warning.text == "redis://localhost:7000/0: connection refused; it begins with its own share of the units"
    assert "start Redis or Valkey there" in warning.fix


def test_a_host_that_gives_no_answer_is_left_to_the_launch(tmp_path: Path) -> None:
    assert warnings_of(fleet_with(tmp_path, alpha=NEAR, beta=None)) == (True, [])


def test_one_host_needs_no_queue_and_is_not_asked(tmp_path: Path) -> None:
    assert warnings_of(fleet_with(tmp_path, alpha=None)) == (False, [])


def test_hosts_that_reach_different_queues_start_nothing(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, alpha=AWAY, beta=NEAR, gamma=OTHER)
    with pytest.raises(RunError, match=r"the hosts do not share one queue: gamma: .* than it is for beta") as caught:
        queue_for_run(fleet, fleet.hosts, silent)
    assert "every host" in caught.value.fix


def test_a_password_that_others_may_read_is_warned_of_by_run_and_doctor(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, alpha=NEAR, beta=NEAR)
    fleet = replace(fleet, loaded=replace(fleet.loaded, queue_exposed=True))
    _, (warning,) = warnings_of(fleet)
    assert "others may read the file" in warning.text
    assert "SLTFLEET_QUEUE" in warning.fix
    (finding,) = (finding for finding in check_controller(fleet) if finding.check == "queue")
    assert finding.level is Level.WARNING


def test_doctor_tells_of_each_host_whether_it_can_use_the_queue(tmp_path: Path) -> None:
    found = doctor(fleet_with(tmp_path, alpha=NEAR, beta=OTHER, gamma=AWAY, delta=None), silent).values
    findings = {name: found[name].findings[-1] for name in found}
    assert {finding.check for finding in findings.values()} == {"queue"}
    assert [finding.level for finding in findings.values()] == [Level.OK, Level.ERROR, Level.ERROR, Level.ERROR]
    assert "cannot connect" in findings["delta"].text
    assert [found[name].queue_round_trip_s for name in found] == [0.0003, 0.0003, None, None]
    assert "s3cr3t" not in repr(found)


def test_without_a_queue_doctor_says_nothing_of_one(tmp_path: Path) -> None:
    found = doctor(local_fleet(tmp_path, {"here": str(tmp_path)}), silent).values["here"]
    assert not any(finding.check == "queue" for finding in found.findings)
