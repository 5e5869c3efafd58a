"""A runner that gets no chance to say goodbye, and a run that goes on without it (faults 1, 2, 3)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.runner.processes import read_stat
from sltfleet.wire.events import Note, RunResumed, RunStarted
from sltfleet.wire.state import identity_to_line
from tests.faults.campaign import Campaign, campaign
from tests.support.waiting import wait_for

#: One fails, one leaves a process in its group, one a daemon that is in no group of the attempt's.
UNITS = (
    "sleep 0.1",
    "sleep 0.15; false",
    "sleep 60 & sleep 0.1",
    "(setsid sleep 60 >/dev/null 2>&1 &); sleep 0.2",
)

WORKERS = 3


def started_run(made: Campaign) -> None:
    """Sync and start a run, and wait until some of its attempts are over and others are on their way."""
    made.person.does("sync")
    made.person.does("run", "--workers", str(WORKERS), "--budget", "300s", "--detach")
    wait_for(lambda: len(made.finished("alpha")) >= 4, "attempts that are over")


def frozen_run(made: Campaign, budget: str) -> None:
    """The same of a short run, whose runner is stopped there: what a test does meanwhile is no part of its budget."""
    made.person.does("sync")
    starting = made.person.start("run", "--workers", str(WORKERS), "--budget", budget, "--detach")
    wait_for(lambda: len(made.finished("alpha")) >= 4, "attempts that are over")
    os.kill(made.identity("alpha").pid, signal.SIGSTOP)
    typed = made.person.finish(starting)
    assert typed.exit_code == 0, typed.said


def left_alive(made: Campaign) -> list[int]:
    """Wait for processes of a killed runner's attempts: those that go on start others, which do not end."""
    wait_for(lambda: made.attempts_alive("alpha"), "the attempts of a killed runner, which live on")
    return made.attempts_alive("alpha")


def kill_runner(made: Campaign) -> None:
    """SIGKILL the runner and wait until it is gone."""
    pid = made.kill_runner("alpha")
    wait_for(lambda: (stat := read_stat(pid)) is None or not stat.alive, "the runner's death")


def assert_nothing_lost_or_counted_twice(made: Campaign) -> None:
    """Hold the tests' own log, the journal and what `fetch` reports against one another."""
    finished = made.finished("alpha")
    assert set(Counter(event.attempt for event in finished).values()) == {1}
    assert {event.attempt for event in made.started("alpha")} <= {event.attempt for event in finished}
    times = [event.t for event in made.journal("alpha")]
    assert times == sorted(times)
    pids = {event.attempt: event.pid for event in made.started("alpha")}
    ended = Counter((pid, unit) for what, pid, unit in made.observed() if what == "end")
    whole = Counter((pids[event.attempt], event.unit) for event in finished if event.outcome != "cut")
    cut = Counter((pids[event.attempt], event.unit) for event in finished if event.outcome == "cut")
    assert not whole - ended, "an attempt is recorded that never came to its end"
    # What had come to its end when its runner was killed may not have been written down: one per worker at the most.
    resumes = sum(isinstance(event, RunResumed) for event in made.journal("alpha"))
    assert (ended - whole - cut).total() <= WORKERS * resumes
    fetched = made.person.does("fetch", "--format", "json").json()
    told = fetched["hosts"][0]["utilization"]
    assert (told["attempts"], told["outcomes"]) == (len(finished), Counter(event.outcome for event in finished))
    assert told["problems"] == []
    assert fetched["hosts"][0]["unfinished"] == 0


def test_a_killed_runner_is_lost_and_resume_goes_on_with_the_rest_of_the_budget(odd_path: Path) -> None:
    with campaign(odd_path, UNITS) as made:
        frozen_run(made, "8s")
        made.person.does("fetch")
        kill_runner(made)
        left = left_alive(made)
        told = made.person.does("status", code=3)
        assert "lost" in told.stdout
        assert "the runner is gone and never said goodbye" in told.stderr
        assert "next: `sltfleet resume` goes on with the rest of the budget" in told.stderr
        before = {event.attempt: event for event in made.finished("alpha")}

        process = made.person.start("resume")
        wait_for(lambda: any(isinstance(event, RunResumed) for event in made.journal("alpha")), "a run that goes on")
        assert not set(made.attempts_alive("alpha")) & set(left)
        resumed = made.person.finish(process)
        assert resumed.exit_code == 1, resumed.said  # a unit fails, as in `run`
        assert "alpha: resuming: goes on after " in resumed.stderr
        assert "finished" in resumed.stdout

        journal = made.journal("alpha")
        (again,) = [event for event in journal if isinstance(event, RunResumed)]
        state = made.state("alpha")
        assert state.attempts == len(made.finished("alpha"))
        assert state.busy_s / (WORKERS * state.budget_s) > 0.5
        after = {event.attempt: event for event in made.finished("alpha")}
        assert {number: after[number] for number in before} == before
        lost = [event for event in after.values() if event.message == "the runner was lost"]
        assert lost
        assert all((event.outcome, event.t) == ("cut", again.t) for event in lost)
        assert_nothing_lost_or_counted_twice(made)
        refused = made.person.does("resume", code=6)
        assert "has come to its end (budget)" in refused.stderr
        assert "`sltfleet run` starts a new one" in refused.stderr


def test_a_run_that_was_stopped_is_gone_on_with_and_one_that_runs_is_left_alone(odd_path: Path) -> None:
    with campaign(odd_path, UNITS) as made:
        started_run(made)
        alive = made.person.does("resume", code=6)
        assert "it is still running" in alive.stderr
        assert "`sltfleet status --watch` shows it" in alive.stderr
        made.person.does("stop")
        assert made.status()["alpha"]["state"] == "stopped"
        made.person.does("resume", "--detach")
        assert made.status()["alpha"]["state"] == "running"
        count = len(made.finished("alpha"))
        wait_for(lambda: len(made.finished("alpha")) > count + 2, "more attempts")
        made.person.does("stop")
        assert_nothing_lost_or_counted_twice(made)


def test_a_runner_that_is_killed_again_and_again_loses_nothing(odd_path: Path) -> None:
    with campaign(odd_path, UNITS) as made:
        started_run(made)
        for _ in range(2):
            count = len(made.finished("alpha"))
            kill_runner(made)
            with (made.run_dir("alpha") / "journal.jsonl").open("ab") as journal:
                journal.write(b'{"kind":"attempt-finished","t":1.5,"att')
            made.person.does("resume", "--detach")
            wait_for(lambda count=count: len(made.finished("alpha")) > count + 4, "more attempts")  # type: ignore[misc]
        made.person.does("stop")
        assert_nothing_lost_or_counted_twice(made)
        notes = [event.text for event in made.journal("alpha") if isinstance(event, Note)]
        assert sum("a torn line of 39 bytes, which was taken off" in text for text in notes) == 2
        assert sum(isinstance(event, RunStarted) for event in made.journal("alpha")) == 1


def test_a_journal_that_is_damaged_in_the_middle_is_not_gone_on_with_and_what_stands_before_is_kept(
    odd_path: Path,
) -> None:
    with campaign(odd_path, UNITS) as made:
        started_run(made)
        kill_runner(made)
        path = made.run_dir("alpha") / "journal.jsonl"
        data = path.read_bytes()
        lines = data.splitlines(keepends=True)
        place = len(b"".join(lines[:8]))
        path.write_bytes(data[:place] + b"\0" * 16 + data[place + 16 :])
        damaged = path.read_bytes()
        refused = made.person.does("resume", code=6)
        assert f"its journal cannot be read beyond byte {place}" in refused.stderr
        assert path.read_bytes() == damaged
        fetched = made.person.does("fetch")
        assert f"cannot be read beyond byte {place}" in fetched.stdout + fetched.stderr


def test_the_next_run_ends_what_a_lost_runner_left_and_says_that_it_can_be_resumed(odd_path: Path) -> None:
    with campaign(odd_path, UNITS) as made:
        started_run(made)
        lost = made.run_dir("alpha").name
        kill_runner(made)
        left = left_alive(made)
        told = made.person.does("run", "--workers", "1", "--budget", "300s", "--detach")
        assert f"the runner of run {lost} was lost there; what it left running is ended" in told.stderr
        assert f"`sltfleet resume {lost}`" in told.stderr
        assert all((stat := read_stat(pid)) is None or not stat.alive for pid in left)
        made.person.does("stop")
        made.person.does("resume", lost, "--detach")
        assert made.status()["alpha"]["run"] == lost
        made.person.does("stop")


# --- another boot, another process of the same number ----------------------------------------------------------------


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with sltfleet, and does not ignore any signal."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def assert_left_alone(stranger: subprocess.Popen[bytes]) -> None:
    assert stranger.poll() is None, "a stranger's process was ended"


def every_command_leaves_it_alone(made: Campaign, stranger: subprocess.Popen[bytes]) -> None:
    """Type all that could send a signal, while the identity file names the stranger's pid."""
    told = made.person.does("status", code=3)
    assert "lost" in told.stdout
    assert "running" not in told.stdout
    made.person.does("stop")
    assert_left_alone(stranger)
    made.person.does("clean", "--keep", "5", "--yes")
    assert_left_alone(stranger)
    made.person.does("resume", "--detach")
    assert made.status()["alpha"]["state"] == "running"
    assert_left_alone(stranger)
    made.person.does("run", "--replace", "--workers", "1", "--budget", "300s", "--detach")
    assert_left_alone(stranger)


def test_after_a_reboot_a_run_is_lost_and_resumed_whoever_has_its_pid_now(
    odd_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    """The reboot is told by the identity file: its boot id is another than the host's, the rest is the stranger's."""
    with campaign(odd_path, UNITS) as made:
        started_run(made)
        kill_runner(made)
        for pid in made.attempts_alive("alpha"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        stat = read_stat(stranger.pid)
        assert stat is not None
        identity = made.identity("alpha")
        before_reboot = type(identity)("0b7e1c1e-1111-4222-8333-444455556666", stranger.pid, stat.start_ticks)
        (made.run_dir("alpha") / "identity").write_text(identity_to_line(before_reboot))
        every_command_leaves_it_alone(made, stranger)


def test_a_process_that_has_the_runner_s_pid_by_now_gets_no_signal(
    odd_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    with campaign(odd_path, UNITS) as made:
        started_run(made)
        kill_runner(made)
        identity = made.identity("alpha")
        recycled = type(identity)(identity.boot_id, stranger.pid, identity.start_ticks)
        (made.run_dir("alpha") / "identity").write_text(identity_to_line(recycled))
        every_command_leaves_it_alone(made, stranger)
