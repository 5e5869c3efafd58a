from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sltfleet.app import watch as watch_module
from sltfleet.app.fleet import Fleet
from sltfleet.app.status import fleet_status
from sltfleet.app.watch import Watcher
from sltfleet.core.errors import ConnectError
from sltfleet.core.polling import DONE, IDLE, LOST, RUNNING, UNREACHABLE, HostStatus
from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult
from sltfleet.wire.state import FINISHED
from tests.support.local_fleet import local_fleet
from tests.support.states import RUN_ID, make_state, poll_output
from tests.support.transports import ScriptedTransport, answer
from tests.support.waiting import PATIENCE_S, wait_for

#: So short that a test need not wait, so long that no thread spins.
INTERVAL_S = 0.002

RUNNING_OUTPUT = poll_output(make_state())
DONE_OUTPUT = poll_output(make_state(phase=FINISHED, reason="budget", active=0), alive=False)

Reply = str | Exception
Respond = Callable[[Script], CommandResult]


def one_after_another(*replies: Reply) -> Respond:
    """Answer with each of the replies in turn, and with the last one for ever."""
    left = list(replies)

    def respond(_script: Script) -> CommandResult:
        reply = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reply, Exception):
            raise reply
        return answer(reply)

    return respond


def fleet_of(folder: Path, **hosts: Respond) -> Fleet:
    return local_fleet(
        folder,
        {name: str(folder / name) for name in hosts},
        {name: ScriptedTransport(name, respond) for name, respond in hosts.items()},
    )


def until_settled(watcher: Watcher) -> list[HostStatus]:
    deadline = time.monotonic() + PATIENCE_S
    while not watcher.settled():
        assert time.monotonic() < deadline, watcher.latest()
        watcher.wait(0.05)
    return watcher.latest()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds an answer back until it is set; set in any case at the end."""
    event = threading.Event()
    yield event
    event.set()


class TestTheWatcher:
    def test_it_watches_each_host_until_its_run_is_settled(self, tmp_path: Path) -> None:
        fleet = fleet_of(
            tmp_path,
            alpha=one_after_another(RUNNING_OUTPUT, RUNNING_OUTPUT, DONE_OUTPUT),
            beta=one_after_another(RUNNING_OUTPUT, poll_output(make_state(), alive=False)),
            gamma=one_after_another(""),
        )
        with Watcher(fleet, RUN_ID, interval_s=INTERVAL_S) as watcher:
            statuses = until_settled(watcher)
        assert [(status.host, status.condition) for status in statuses] == [
            ("alpha", DONE),
            ("beta", LOST),
            ("gamma", IDLE),
        ]

    def test_a_settled_host_is_not_asked_again(self, tmp_path: Path) -> None:
        fleet = fleet_of(
            tmp_path, alpha=one_after_another(DONE_OUTPUT), beta=one_after_another(*[RUNNING_OUTPUT] * 20, "")
        )
        with Watcher(fleet, RUN_ID, interval_s=INTERVAL_S) as watcher:
            until_settled(watcher)
        transport = fleet.hosts[0].transport
        assert isinstance(transport, ScriptedTransport)
        assert len(transport.scripts) == 1

    def test_a_slow_host_delays_nobody_s_numbers(self, tmp_path: Path, gate: threading.Event) -> None:
        def slow(_script: Script) -> CommandResult:
            gate.wait(PATIENCE_S)
            return answer(DONE_OUTPUT)

        fleet = fleet_of(tmp_path, slow=slow, fast=one_after_another(DONE_OUTPUT))
        with Watcher(fleet, RUN_ID, interval_s=INTERVAL_S) as watcher:
            wait_for(lambda: watcher.latest())
            assert [status.host for status in watcher.latest()] == ["fast"]
            assert not watcher.settled()
            gate.set()
            assert [status.host for status in until_settled(watcher)] == ["slow", "fast"]

    def test_a_host_that_cannot_be_reached_keeps_its_last_numbers_and_comes_back(
        self, tmp_path: Path, gate: threading.Event
    ) -> None:
        replies = iter([RUNNING_OUTPUT])

        def respond(_script: Script) -> CommandResult:
            reply = next(replies, None)
            if reply is None and not gate.is_set():
                raise ConnectError("cannot connect", "timed out")
            return answer(reply or DONE_OUTPUT)

        with Watcher(fleet_of(tmp_path, alpha=respond), RUN_ID, interval_s=INTERVAL_S) as watcher:
            wait_for(lambda: any(status.condition == UNREACHABLE for status in watcher.latest()))
            (status,) = watcher.latest()
            assert status.problem == "cannot connect: timed out"
            assert status.state is not None
            assert status.state.attempts == 61
            assert not watcher.settled()
            gate.set()
            assert [status.condition for status in until_settled(watcher)] == [DONE]

    def test_a_host_that_stays_away_longer_than_its_run_can_last_is_given_up(self, tmp_path: Path) -> None:
        over = poll_output(make_state(elapsed_s=3600.0))
        fleet = fleet_of(tmp_path, alpha=one_after_another(over, ConnectError("cannot connect")))
        with Watcher(fleet, RUN_ID, interval_s=INTERVAL_S, patience_s=0.05) as watcher:
            (status,) = until_settled(watcher)
        assert (status.condition, status.run_id) == (UNREACHABLE, RUN_ID)

    def test_a_host_is_not_given_up_while_its_run_may_go_on(self, tmp_path: Path) -> None:
        fleet = fleet_of(tmp_path, alpha=one_after_another(RUNNING_OUTPUT, ConnectError("cannot connect")))
        with Watcher(fleet, RUN_ID, interval_s=INTERVAL_S, patience_s=0.0) as watcher:
            wait_for(lambda: any(status.condition == UNREACHABLE for status in watcher.latest()))
            assert not watcher.settled()

    def test_a_defect_in_a_polling_thread_is_raised_by_the_one_that_waits(self, tmp_path: Path) -> None:
        fleet = fleet_of(tmp_path, alpha=one_after_another(KeyError("a defect")))
        with Watcher(fleet, RUN_ID, interval_s=INTERVAL_S) as watcher, pytest.raises(KeyError, match="a defect"):
            until_settled(watcher)

    def test_leaving_it_waits_for_no_host(
        self, tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def hangs(_script: Script) -> CommandResult:
            gate.wait(PATIENCE_S)
            return answer()

        monkeypatch.setattr(watch_module, "CLOSING_S", 0.05)
        fleet = fleet_of(tmp_path, **{f"host{number}": hangs for number in range(8)})
        with Watcher(fleet, RUN_ID) as watcher:
            pass
        assert not gate.is_set()
        assert watcher.latest() == []

    def test_it_may_watch_some_of_the_hosts_only(self, tmp_path: Path) -> None:
        fleet = fleet_of(tmp_path, alpha=one_after_another(RUNNING_OUTPUT), beta=one_after_another(DONE_OUTPUT))
        with Watcher(fleet, RUN_ID, hosts=fleet.hosts[1:], interval_s=INTERVAL_S) as watcher:
            assert [status.host for status in until_settled(watcher)] == ["beta"]


class TestStatus:
    def test_every_host_has_a_status_in_the_order_of_fleet_yaml(self, tmp_path: Path) -> None:
        error = ConnectError("cannot connect", "timed out", "is it on?")
        fleet = fleet_of(tmp_path, zeta=one_after_another(error), alpha=one_after_another(RUNNING_OUTPUT))
        zeta, alpha = fleet_status(fleet)
        assert (zeta.host, zeta.condition, zeta.error) == ("zeta", UNREACHABLE, error)
        assert zeta.problem == "cannot connect: timed out", "the host is named beside it, not in it"
        assert (alpha.host, alpha.condition, alpha.run_id) == ("alpha", RUNNING, RUN_ID)

    def test_a_real_shell_on_an_empty_host_answers_idle(self, odd_path: Path) -> None:
        fleet = local_fleet(odd_path, {"alpha": str(odd_path)})
        assert fleet_status(fleet) == [HostStatus("alpha", IDLE)]
