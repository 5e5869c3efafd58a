"""How a run ends before its time, as a real process: a stop, signals, a lost runner and the run after it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from sltfleet.runner.processes import FOLDER_MARK, MARK, is_alive, read_stat
from sltfleet.wire.events import Note
from sltfleet.wire.repro import ReproRequest, request_to_text
from tests.contract.runner_host import UNITS, RunnerHost, finished, goodbye
from tests.support.waiting import wait_for


class TestStopping:
    def test_stop_cuts_what_runs_and_says_goodbye(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 600", budget_s=200.0)
        launched = host.launch(spec)
        answer = host.stop(spec)
        assert answer.was_running
        assert answer.survivors == ()
        assert not is_alive(launched.identity)
        events = host.journal(spec)
        assert goodbye(events).reason == "stopped"
        assert [event.outcome for event in finished(events)] == ["cut", "cut"]
        assert not host.stop(spec).was_running

    def test_stop_ends_by_force_what_a_frozen_runner_leaves(self, host: RunnerHost) -> None:
        spec = host.spec("trap '' TERM; sleep 60", budget_s=200.0)
        launched = host.launch(spec)
        wait_for(lambda: len(host.attempts_of(spec.run_id)) >= 2, "the attempts")
        os.kill(launched.identity.pid, signal.SIGSTOP)
        answer = host.stop(spec, "--timeout", "0.3")
        assert answer.was_running
        assert answer.survivors == ()
        assert not is_alive(launched.identity)
        assert not host.attempts_of(spec.run_id)

    def test_stop_never_signals_a_process_that_is_not_the_runner(self, host: RunnerHost) -> None:
        spec = host.spec("true")
        run_dir = host.put(spec)
        stranger = subprocess.Popen(["sleep", "60"])
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            ticks = read_stat(stranger.pid)
            assert ticks is not None
            for line in (
                f"{boot} {stranger.pid} {ticks.start_ticks + 1}\n",
                f"x {stranger.pid} {ticks.start_ticks}\n",
                "",
            ):
                (run_dir / "identity").write_text(line)
                assert not host.stop(spec, "--timeout", "0.1").was_running
                assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    def test_hangup_is_ignored_and_a_second_signal_changes_nothing(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 600", budget_s=200.0)
        launched = host.launch(spec)
        os.kill(launched.identity.pid, signal.SIGHUP)
        time.sleep(0.1)
        assert is_alive(launched.identity)
        os.kill(launched.identity.pid, signal.SIGINT)
        os.kill(launched.identity.pid, signal.SIGTERM)
        host.wait_until_gone(launched.identity)
        assert goodbye(host.journal(spec)).reason == "stopped"

    def test_the_lock_is_free_and_attempts_are_found_after_the_runner_was_killed(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 600", budget_s=200.0)
        launched = host.launch(spec)
        wait_for(lambda: len(host.attempts_of(spec.run_id)) >= 2, "the attempts")
        os.kill(launched.identity.pid, signal.SIGKILL)
        host.wait_until_gone(launched.identity)
        answer = host.stop(spec)
        assert not answer.was_running
        assert answer.survivors == ()
        again = host.spec("true", run_id="run-2", passes=1)
        assert goodbye(host.run(again)).reason == "passes"

    def test_a_new_run_ends_what_a_lost_runner_left_and_says_so(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 600", budget_s=200.0)
        launched = host.launch(spec)
        wait_for(lambda: len(host.attempts_of(spec.run_id)) >= 2, "the attempts")
        os.kill(launched.identity.pid, signal.SIGKILL)
        host.wait_until_gone(launched.identity)
        events = host.run(host.spec("true", run_id="run-2", passes=1))
        assert not host.attempts_of(spec.run_id)
        notes = [event.text for event in events if isinstance(event, Note)]
        assert notes == [f"attempts of run {spec.run_id}, whose runner was lost, were ended"]

    def test_a_new_run_leaves_alone_what_runs_in_the_folder_of_one_that_said_goodbye(self, host: RunnerHost) -> None:
        spec = host.spec("true", passes=1)
        host.run(spec)
        environment = {**os.environ, MARK: f"{spec.run_id}:1", FOLDER_MARK: str(host.run_dir(spec))}
        reproduced = subprocess.Popen(["sleep", "60"], env=environment)
        try:
            host.run(host.spec("true", run_id="run-2", passes=1))
            assert reproduced.poll() is None
        finally:
            reproduced.kill()
            reproduced.wait()

    def test_a_new_run_leaves_alone_an_attempt_of_a_lost_run_that_is_being_run_again(self, host: RunnerHost) -> None:
        spec = host.spec("exec sleep 600", budget_s=200.0, env={})
        launched = host.launch(spec)
        wait_for(lambda: len(host.attempts_of(spec.run_id)) >= 2, "the attempts")
        os.kill(launched.identity.pid, signal.SIGKILL)
        host.wait_until_gone(launched.identity)
        lost = host.attempts_of(spec.run_id)
        request = ReproRequest(1, UNITS[0], 0, 1, 5, 10.0, spec.build_digest, "@mark@")
        command = host.command("repro", str(host.run_dir(spec)), request_to_text(request))
        reproducing = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: bool(set(host.attempts_of(spec.run_id)) - set(lost)), "the attempt that is run again")
            again = set(host.attempts_of(spec.run_id)) - set(lost)
            events = host.run(host.spec("true", run_id="run-2", passes=1))
            assert again <= set(host.attempts_of(spec.run_id))
            assert reproducing.poll() is None
            assert not [event for event in events if isinstance(event, Note)]
        finally:
            reproducing.kill()
            reproducing.wait()
        host.run(host.spec("true", run_id="run-3", passes=1))
        assert not host.attempts_of(spec.run_id)
