"""What the runner does while it runs, as a real process: workers, passes, attempts and their outcomes."""

from __future__ import annotations

import os
import signal
import sys

from sltfleet.runner.processes import mark_of
from sltfleet.wire.events import AttemptStarted, PassFinished, RunStarted, WorkerStarted, WorkerStopped
from sltfleet.wire.handshake import Launched
from sltfleet.wire.spec import JsonVerdict, Limits, PartitionUnits, UnitHistory
from tests.contract.runner_host import UNITS, RunnerHost, finished, goodbye, of
from tests.support.waiting import pid_is_alive, wait_for


class TestRunning:
    def test_workers_flow_through_many_passes_until_the_budget_ends(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 0.1", budget_s=4.0)
        events = host.run(spec)
        assert isinstance(events[0], RunStarted)
        assert events[0].units == tuple(sorted(UNITS))
        assert goodbye(events).reason == "budget"
        assert goodbye(events).passes >= 2
        assert [event.pass_number for event in of(events, PassFinished)] == list(range(1, goodbye(events).passes + 1))
        attempts = finished(events)
        assert {event.unit for event in attempts if event.outcome == "pass"} == set(UNITS)
        started = [event.attempt for event in of(events, AttemptStarted)]
        assert sorted(event.attempt for event in attempts) == started == list(range(1, len(started) + 1))
        assert all(event.passed == (event.unit,) for event in attempts if event.outcome == "pass")
        # At the budget's end each worker's attempt is cut, but for one that comes to its own end in that moment.
        assert {event.outcome for event in attempts} <= {"pass", "cut"}
        assert all(event.t >= spec.budget_s for event in attempts if event.outcome == "cut")
        assert sum(event.t >= spec.budget_s for event in attempts) <= 2
        assert all(event.t < spec.budget_s for event in of(events, AttemptStarted))
        assert len(of(events, WorkerStarted)) == len(of(events, WorkerStopped)) == 2
        state = host.state(spec)
        assert (state.phase, state.reason, state.active) == ("finished", "budget", 0)
        assert state.attempts == len(attempts)

    def test_workers_are_busy_nearly_all_the_time_as_the_attempts_themselves_saw_it(self, host: RunnerHost) -> None:
        # So long that what a loaded machine takes to start a process is a small part of it.
        script = 'date +%s.%N > "$LOG.$$"; sleep 1; date +%s.%N >> "$LOG.$$"'
        spec = host.spec(script, budget_s=5.5)
        events = host.run(spec)
        busy_s = 0.0
        for path in host.log.parent.glob("attempts.log.*"):
            times = [float(line) for line in path.read_text().split()]
            busy_s += times[1] - times[0] if len(times) == 2 else 0.0
        cut_s = sum(event.duration_s for event in finished(events) if event.outcome == "cut")
        assert (busy_s + cut_s) / (2 * spec.budget_s) > 0.6
        assert sum(event.busy_s for event in of(events, WorkerStopped)) / (2 * spec.budget_s) > 0.8
        assert host.state(spec).occupancy > 0.8

    def test_an_attempt_finds_its_arguments_environment_folder_and_niceness(self, host: RunnerHost) -> None:
        # The niceness is set from outside, right after the start: the attempt may be faster than that.
        script = f'tries=0; while [ "$(nice)" = {os.nice(0)} ] && [ $tries -lt 50 ]; '
        script += "do sleep 0.1; tries=$((tries + 1)); done; "
        script += (
            'printf "%s|%s|%s|%s|%s|%s|%s\\n" "$1" "$UNIT" "$PWD" "$CARGO_MANIFEST_DIR" "$BRACE" "$SLTFLEET_ATTEMPT" '
        )
        # glibc's posix_spawn leaves its own signals 32 and 33 ignored: only the first 31 are looked at.
        script += '"$(nice)" >> "$LOG"; grep -q "^SigIgn:.*[08]0000000$" /proc/$$/status || exit 8; '
        script += 'grep -q "^SigBlk:.*0000000000000000$" /proc/self/status || exit 7; '
        script += 'cat data.txt; test -d target; echo "$LD_LIBRARY_PATH"; read x && exit 9; exit 0'
        spec = host.spec(script, passes=1, workers=1)
        events = host.run(spec)
        assert {event.outcome for event in finished(events)} == {"pass"}
        folder = str(host.run_dir(spec) / "tree" / "crates" / "my pkg")
        for attempt, line in enumerate(host.log_lines(), 1):
            argument, unit, pwd, manifest, brace, mark, nice = line.split("|")
            assert argument == unit
            assert pwd == manifest == folder
            assert brace == "{}"
            assert mark == f"run-1:{attempt}"
            assert int(nice) >= 10
        kept = [host.run_dir(spec) / event.output.path for event in finished(events)]
        deps = host.binary.parent
        assert all(path.read_text().startswith(f"from the repo{deps}:{deps.parent}") for path in kept)
        assert all(path.parent.name == "last" for path in kept)

    def test_a_sync_during_the_run_does_not_change_the_tree_that_is_tested(self, host: RunnerHost) -> None:
        spec = host.spec('echo "$(cat data.txt)" >> "$LOG"; sleep 0.1', budget_s=200.0)
        host.launch(spec)
        aside = host.package / ".data.txt.tmp"
        aside.write_text("synced meanwhile")
        aside.replace(host.package / "data.txt")
        before = len(host.log_lines())
        wait_for(lambda: len(host.log_lines()) > before + 4, "attempts after the sync")
        host.stop(spec)
        assert set(host.log_lines()) == {"from the repo"}

    def test_selected_partitions_get_their_numbers(self, host: RunnerHost) -> None:
        spec = host.spec(
            'echo "$1" >> "$LOG"',
            units=PartitionUnits(count=12, first=1),
            args=("{partition} of {partitions} as {unit}",),
            select=("3/*", "1?/12"),
            passes=1,
        )
        assert goodbye(host.run(spec)).reason == "passes"
        assert sorted(host.log_lines()) == [f"{n} of 12 as {n}/12" for n in (10, 11, 12, 3)]

    def test_the_first_pass_begins_with_what_failed_before(self, host: RunnerHost) -> None:
        history = {UNITS[0]: UnitHistory(2, 1.0), UNITS[1]: UnitHistory(0), UNITS[2]: UnitHistory(2, 9.0)}
        spec = host.spec('echo "$1" >> "$LOG"', history=history, workers=1, passes=1)
        host.run(spec)
        assert host.log_lines() == [UNITS[1], UNITS[2], UNITS[0]]

    def test_once_lets_workers_leave_when_the_list_is_empty(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 0.05", once=True, workers=4)
        events = host.run(spec)
        assert goodbye(events).reason == "once"
        assert len(finished(events)) == len(UNITS)
        assert {event.reason for event in of(events, WorkerStopped)} == {"once"}

    def test_so_many_passes_and_no_more(self, host: RunnerHost) -> None:
        events = host.run(host.spec("true", passes=3))
        assert goodbye(events).reason == "passes"
        assert goodbye(events).passes == 3
        assert len(finished(events)) == 3 * len(UNITS)

    def test_fail_fast_ends_the_run(self, host: RunnerHost) -> None:
        events = host.run(host.spec("exit 1", fail_fast=2, workers=1))
        assert goodbye(events).reason == "fail-fast"
        assert [event.outcome for event in finished(events)] == ["fail", "fail"]

    def test_no_workers_in_the_spec_mean_as_many_as_there_are_cores(self, host: RunnerHost) -> None:
        answer = host.launch(host.spec("sleep 0.1", workers=0, passes=1))
        assert 1 <= answer.workers <= (os.cpu_count() or 1)
        host.wait_until_gone(answer.identity)

    def test_with_workdir_per_worker_fixed_file_names_do_not_collide(self, host: RunnerHost) -> None:
        script = 'cat data.txt; echo "$WORKER" > target/fixed; echo "$WORKER" > ../../target/root; sleep 0.05; '
        script += '[ "$(cat target/fixed)" = "$WORKER" ] && [ "$(cat ../../target/root)" = "$WORKER" ]'
        events = host.run(host.spec(script, workdir="per-worker", passes=4, workers=3))
        assert {event.outcome for event in finished(events)} == {"pass"}
        assert not (host.repo / "target").exists()


class TestOutcomes:
    def test_failures_crashes_and_hangs_are_told_apart(self, host: RunnerHost) -> None:
        script = """case "$1" in
          a.test) echo "it broke"; exit 7;;
          */b*) kill -SEGV $$;;
          *) sleep 60;;
        esac"""
        spec = host.spec(script, passes=1, limits=Limits(timeout_s=4.0, kill_after_s=0.3))
        events = host.run(spec)
        by_unit = {event.unit: event for event in finished(events)}
        assert {unit: event.outcome for unit, event in by_unit.items()} == dict(
            zip(UNITS, ["fail", "crash", "timeout"], strict=True)
        )
        assert by_unit["a.test"].exit_code == 7
        assert (host.run_dir(spec) / by_unit["a.test"].output.path).read_text() == "it broke\n"
        assert by_unit[UNITS[1]].signal == signal.SIGSEGV
        assert "SIGSEGV" in by_unit[UNITS[1]].message
        assert "timed out after 4 s" in by_unit[UNITS[2]].message
        assert all(event.failed for event in by_unit.values())

    def test_what_ignores_sigterm_is_killed_with_all_its_children(self, host: RunnerHost) -> None:
        script = "trap '' TERM; sleep 60 & sleep 60 & echo $! >> \"$LOG\"; while :; do sleep 60; done"
        spec = host.spec(script, passes=1, workers=3, limits=Limits(timeout_s=4.0, kill_after_s=0.2))
        events = host.run(spec)
        assert [event.outcome for event in finished(events)] == ["timeout"] * 3
        assert all(event.signal == signal.SIGKILL for event in finished(events))
        pids = [int(line) for line in host.log_lines()]
        assert len(pids) == 3
        assert not any(pid_is_alive(pid) for pid in pids)

    def test_a_test_that_joins_another_process_group_times_out_like_any_other(self, host: RunnerHost) -> None:
        program = "import os, time; os.setpgid(0, os.getppid()); time.sleep(60)"
        script = f'echo $$ >> "$LOG"; trap "" TERM; exec "{sys.executable}" -c "{program}"'
        limits = Limits(timeout_s=4.0, kill_after_s=0.2)
        (event,) = finished(host.run(host.spec(script, passes=1, workers=1, limits=limits, select=("a.test",))))
        assert (event.outcome, event.signal) == ("timeout", signal.SIGKILL)
        assert not pid_is_alive(int(host.log_lines()[0]))

    def test_a_test_that_deletes_its_working_directory_does_not_fail_the_next_one(self, host: RunnerHost) -> None:
        script = """case "$1" in
          a.test) rm -rf "$PWD"; exit 1;;
          *) cat data.txt && echo x > target/file;;
        esac"""
        spec = host.spec(script, passes=3, workers=1, workdir="per-worker")
        outcomes = {(event.unit, event.outcome) for event in finished(host.run(spec))}
        assert outcomes == {(UNITS[0], "fail"), (UNITS[1], "pass"), (UNITS[2], "pass")}
        assert (host.package / "data.txt").read_text() == "from the repo"

    def test_a_shared_working_directory_that_a_test_deleted_is_nobodys_failure(self, host: RunnerHost) -> None:
        spec = host.spec('rm -rf "$PWD"', passes=1, workers=1, budget_s=3.0)
        first, *others = finished(host.run(spec))
        assert first.outcome == "pass"
        assert {event.outcome for event in others} == {"infra"}

    def test_a_daemon_that_left_the_group_is_found_ended_and_counted(self, host: RunnerHost) -> None:
        script = "setsid sh -c 'echo $$ >> \"$LOG\"; exec sleep 60' & wait_for=0; "
        script += 'while [ "$(wc -l < "$LOG")" -lt "$ATTEMPT" ]; do sleep 0.02; done; exit 0'
        spec = host.spec(script, passes=1, workers=1)
        host.log.write_text("")
        spec = host.spec(script, passes=1, workers=1, env={**spec.env, "ATTEMPT": "{attempt}"})
        events = host.run(spec)
        assert [event.outcome for event in finished(events)] == ["pass"] * 3
        assert all(event.survivors >= 1 for event in finished(events))
        pids = [int(line) for line in host.log_lines()]
        assert len(pids) == 3
        assert not any(pid_is_alive(pid) for pid in pids)

    def test_a_daemon_and_its_own_children_are_gone_when_the_run_is_over(self, host: RunnerHost) -> None:
        script = "(setsid sh -c 'setsid sleep 60 & echo $! >> \"$LOG\"; exec sleep 60' &); sleep 60"
        spec = host.spec(script, workers=1, budget_s=200.0)
        host.launch(spec)
        wait_for(host.log_lines, "a daemon")
        host.stop(spec)
        pids = [int(line) for line in host.log_lines()]
        assert len(pids) == 1
        wait_for(lambda: not pid_is_alive(pids[0]), "the end of the daemon's child")
        assert host.attempts_of(spec.run_id) == []

    def test_a_daemon_of_a_running_attempt_is_left_alone_while_others_end(self, host: RunnerHost) -> None:
        script = """case "$1" in
          a.test) (setsid sh -c 'sleep 1; echo done >> "$LOG"' &) ; until [ -e "$LOG" ]; do sleep 0.05; done;;
          *) sleep 0.05;;
        esac"""
        events = host.run(host.spec(script, passes=1))
        assert {event.outcome for event in finished(events)} == {"pass"}
        assert host.log_lines() == ["done"]

    def test_a_test_that_prints_without_end_fills_neither_disk_nor_memory(self, host: RunnerHost) -> None:
        limits = Limits(timeout_s=200.0, kill_after_s=0.3, output_bytes=64 * 1024)
        script = "echo first; head -c 200000000 /dev/zero | tr '\\0' x; echo; echo last; exit 1"
        spec = host.spec(script, passes=1, workers=1, limits=limits, select=("a.test",))
        (event,) = finished(host.run(spec))
        assert event.output.size_bytes > 200_000_000
        assert event.output.truncated
        kept = (host.run_dir(spec) / event.output.path).read_bytes()
        assert len(kept) < 70 * 1024
        assert kept.startswith(b"first\nxxx")
        assert kept.endswith(b"xxx\nlast\n")
        assert b"bytes left out here]" in kept
        assert list((host.run_dir(spec) / "slots").iterdir()) == []

    def test_a_json_verdict_is_believed_over_exit_code_zero(self, host: RunnerHost) -> None:
        script = """f="target/out_$WORKER.json"
        case "$1" in
          a.test) echo '{"t": {"ok": ["x"], "bad": [{"file": "y", "message": "boom"}]}}' > "$f";;
          */b*) echo '{"t": {"ok": ["z"], "bad": []}}' > "$f";;
        esac; exit 0"""
        rule = JsonVerdict(path="target/out_{worker}.json", passed="t.ok", failed="t.bad")
        spec = host.spec(script, passes=1, workers=1, verdict=rule, workdir="per-worker")
        by_unit = {event.unit: event for event in finished(host.run(spec))}
        first, second, third = (by_unit[unit] for unit in UNITS)
        assert (first.outcome, first.passed, first.message) == ("fail", ("x",), "boom")
        assert [(case.name, case.message) for case in first.failed] == [("y", "boom")]
        assert (second.outcome, second.passed) == ("pass", ("z",))
        assert third.outcome == "fail"
        assert "was not written" in third.message

    def test_what_cannot_be_started_is_nobodys_failure_and_does_not_spin(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 0.1", workers=1, budget_s=200.0)
        run_dir = host.put(spec)
        _, answer, text = host.call("launch", str(run_dir))
        assert isinstance(answer, Launched), text
        (run_dir / "bin" / host.binary.name).unlink()
        wait_for(lambda: "cannot start" in host.state(spec).trouble, "trouble in the state file")
        host.stop(spec)
        infra = [event for event in finished(host.journal(spec)) if event.outcome == "infra"]
        assert 1 <= len(infra) < 20
        assert all(not event.failed and event.message for event in infra)


def test_attempts_are_marked_so_that_they_can_be_found(host: RunnerHost) -> None:
    spec = host.spec('exec env - sh -c "sleep 0.6"', budget_s=0.4, workers=1)
    launched = host.launch(spec)
    host.wait_until_gone(launched.identity)
    other = host.spec("sleep 600", run_id="run-2", budget_s=200.0, workers=1)
    host.launch(other)
    wait_for(lambda: bool(host.attempts_of("run-2")), "a marked process")
    mark = mark_of(host.attempts_of("run-2")[0])
    assert mark is not None
    assert mark.attempt == 1
    assert host.stop(other).was_running
