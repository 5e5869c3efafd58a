from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sltfleet.app import fleet as fleet_module
from sltfleet.app.fleet import Fleet, Host, open_fleet
from sltfleet.app.progress import ProgressEvent, StepFailed, StepFinished, StepStarted, silent
from sltfleet.core.errors import ConnectError, UsageError
from tests.support.local_fleet import local_fleet
from tests.support.transports import ScriptedTransport, answer
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def fleet(odd_path: Path) -> Fleet:
    return local_fleet(odd_path, {name: str(odd_path / name) for name in ("alpha", "beta", "gamma")})


class TestTheFanOut:
    def test_every_host_gives_its_value_in_the_order_of_fleet_yaml(self, fleet: Fleet) -> None:
        arrived = threading.Barrier(3, timeout=PATIENCE_S)  # all of them at once, or this breaks

        def work(host: Host) -> tuple[str, str]:
            arrived.wait()
            return host.name.upper(), "done"

        results = fleet.each_host("working", work, silent)
        assert list(results.values.items()) == [("alpha", "ALPHA"), ("beta", "BETA"), ("gamma", "GAMMA")]
        assert results.errors == {}

    def test_one_host_s_failure_hides_no_other_s_result(self, fleet: Fleet) -> None:
        def work(host: Host) -> tuple[int, str]:
            if host.name == "beta":
                raise ConnectError("cannot connect", "refused")
            return 1, ""

        results = fleet.each_host("working", work, silent)
        assert list(results.values) == ["alpha", "gamma"]
        assert str(results.errors["beta"]) == "beta: cannot connect: refused"

    def test_an_error_that_names_its_host_keeps_that_name(self, fleet: Fleet) -> None:
        def work(host: Host) -> tuple[int, str]:
            raise ConnectError("cannot connect", host=f"jump to {host.name}")

        errors = fleet.each_host("working", work, silent).errors
        assert errors["alpha"].host == "jump to alpha"

    def test_a_defect_is_raised_once_all_hosts_are_done(self, fleet: Fleet) -> None:
        done: list[str] = []

        def work(host: Host) -> tuple[int, str]:
            if host.name == "alpha":
                raise KeyError("a defect")
            done.append(host.name)
            return 1, ""

        with pytest.raises(KeyError, match="a defect"):
            fleet.each_host("working", work, silent)
        assert sorted(done) == ["beta", "gamma"]

    def test_the_listener_hears_of_start_end_and_failure(self, fleet: Fleet) -> None:
        def work(host: Host) -> tuple[int, str]:
            if host.name == "beta":
                raise error
            return 1, "three files"

        error = ConnectError("cannot connect")
        heard: list[ProgressEvent] = []
        fleet.each_host("syncing", work, heard.append, hosts=fleet.hosts[:2])
        assert [event for event in heard if event.host == "alpha"] == [
            StepStarted("alpha", "syncing"),
            StepFinished("alpha", "syncing", "three files"),
        ]
        assert [event for event in heard if event.host == "beta"] == [
            StepStarted("beta", "syncing"),
            StepFailed("beta", "syncing", error),
        ]

    def test_no_hosts_give_no_results(self, fleet: Fleet) -> None:
        results = fleet.each_host("working", lambda _host: (1, ""), silent, hosts=())
        assert (results.values, results.errors) == ({}, {})

    @pytest.mark.parametrize("thread", ["main", "another"])
    def test_ctrl_c_ends_the_program_though_a_host_still_works(self, thread: str) -> None:
        """Whichever thread it is on which the kernel runs the signal handler."""
        code = """
import signal, sys, threading, time
from pathlib import Path
from sltfleet.app.progress import silent
from tests.support.local_fleet import local_fleet

signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may have it ignored

def work(host):
    print("at work", flush=True)
    if sys.argv[1] == "another":
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    time.sleep(600)
    return None, ""

local_fleet(Path("/nowhere"), {"alpha": "/nowhere"}).each_host("working", work, silent)
"""
        root = Path(__file__).resolve().parents[3]
        process = subprocess.Popen(
            [sys.executable, "-c", code, thread],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "at work\n"
            if thread == "main":
                process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=PATIENCE_S / 4)
        finally:
            process.kill()
            process.wait()
        assert "KeyboardInterrupt" in stderr


class TestTheSuite:
    def test_without_a_name_it_is_the_only_one(self, fleet: Fleet) -> None:
        name, suite = fleet.suite()
        assert (name, suite) == ("s", fleet.loaded.config.suites["s"])

    def test_one_that_is_not_there_is_an_error_that_names_those_that_are(self, fleet: Fleet) -> None:
        with pytest.raises(UsageError) as caught:
            fleet.suite("nothing like it")
        assert "known suites: s" in caught.value.fix


class TestOpening:
    def test_nothing_is_connected_and_every_transport_is_closed_in_the_end(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[ScriptedTransport] = []

        def open_transport(name: str, *_args: object) -> ScriptedTransport:
            opened.append(ScriptedTransport(name, lambda _script: answer()))
            return opened[-1]

        monkeypatch.setattr(fleet_module, "open_transport", open_transport)

        def fail_on(chosen: Fleet) -> None:
            assert [host.name for host in chosen.hosts] == ["gamma", "alpha"]
            assert chosen.project == "demo"
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), open_fleet(fleet.loaded, ("gamma", "alpha")) as chosen:
            fail_on(chosen)
        assert [(transport.host, transport.closed, transport.scripts) for transport in opened] == [
            ("gamma", 1, []),
            ("alpha", 1, []),
        ]

    def test_what_is_under_way_gets_a_moment_to_end_before_its_connection_is_closed(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told_to_stop, ended = threading.Event(), threading.Event()

        def work(_host: Host) -> tuple[int, str]:
            told_to_stop.wait(PATIENCE_S)
            ended.set()
            return 1, ""

        def interrupted(*_args: object, **_options: object) -> None:
            raise KeyboardInterrupt

        def verb(chosen: Fleet) -> None:
            try:
                chosen.each_host("working", work, silent)
            finally:
                told_to_stop.set()

        monkeypatch.setattr(fleet_module, "wait", interrupted)
        monkeypatch.setattr(fleet_module, "ENDING_S", PATIENCE_S)
        with pytest.raises(KeyboardInterrupt), open_fleet(fleet.loaded, ("alpha",)) as chosen:
            verb(chosen)
        assert ended.is_set()
