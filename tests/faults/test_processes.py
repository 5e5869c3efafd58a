"""What tests leave running, zombies, memory, and the end of the login (faults 4, 5, 6, 12, 22)."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.demo.loopback import LoopbackHost
from sltfleet.runner.processes import Children, read_stat
from sltfleet.wire.events import AttemptFinished
from tests.faults.campaign import Campaign, campaign
from tests.support.waiting import pid_is_alive, wait_for

#: Becomes a daemon as the textbooks have it: fork, setsid, fork, close everything. With `wiped` it also forgets its
#: environment, and with it the mark. Its parent ends once it is one.
DAEMON = """\
import os, sys, time
def newest():
    with open(sys.argv[1], "a+") as log:
        log.seek(0)
        return log.read().split()[-1:]
before = newest()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        with open(sys.argv[1], "a") as log:
            log.write(f"{os.getpid()}\\n")
        os.execve("/bin/sleep", ["sleep", "600"], {} if sys.argv[2:] == ["wiped"] else dict(os.environ))
    os._exit(0)
os.wait()
while newest() == before or open(f"/proc/{newest()[0]}/comm").read() != "sleep\\n":
    time.sleep(0.02)
"""


def test_a_daemon_that_left_its_group_and_closed_everything_is_ended_after_its_attempt_and_reported(
    odd_path: Path,
) -> None:
    units = ('"$PYTHON" "$DAEMON" "$PIDS"', '"$PYTHON" "$DAEMON" "$PIDS" wiped', "sleep 0.1")
    pids = odd_path / "pids"
    daemon = odd_path / "daemon.py"
    daemon.write_text(DAEMON)
    environment = {"PYTHON": sys.executable, "DAEMON": str(daemon), "PIDS": str(pids)}
    with campaign(odd_path, units, (LoopbackHost("alpha", environment=environment),)) as made:
        made.person.does("sync")
        made.person.does("run", "--workers", "1", "--passes", "2", "--budget", "300s")
        started = [int(line) for line in pids.read_text().split()]
        assert len(started) == 4
        assert not any(map(pid_is_alive, started))
        told = made.person.does("logs")
        assert told.stdout.count("1 of its processes outlived it, and were ended") == 4
        report = made.person.does("fetch").stdout
        assert "processes that outlived their attempts were ended" in report
        assert report.count("(2 in 2 attempts)") == 2
        (host,) = json.loads(made.person.does("report", "--format", "json").stdout)["hosts"]
        assert host["left_behind"] == [{"unit": unit, "attempts": 2, "processes": 2} for unit in units[:2]]
        assert [event.outcome for event in made.finished("alpha")] == ["pass"] * 6


@pytest.fixture
def no_reaper() -> Iterator[None]:
    """Makes this process the one that orphans come to, and it does not reap them until the test is over."""
    libc = ctypes.CDLL(None)
    children = Children()
    before = set(children.pids())
    assert libc.prctl(36, 1, 0, 0, 0) == 0
    yield
    assert libc.prctl(36, 0, 0, 0, 0) == 0
    for pid in set(children.pids()) - before:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


@pytest.mark.usefixtures("no_reaper")
def test_a_runner_that_is_a_zombie_is_lost_and_can_be_resumed(odd_path: Path) -> None:
    with campaign(odd_path, ("sleep 0.1",)) as made:
        made.person.does("sync")
        made.person.does("run", "--workers", "2", "--budget", "300s", "--detach")
        wait_for(lambda: bool(made.finished("alpha")), "an attempt that is over")
        runner = made.kill_runner("alpha")
        wait_for(lambda: (stat := read_stat(runner)) is not None and not stat.alive, "a zombie")
        assert made.status()["alpha"]["state"] == "lost"
        assert "had ended before" in made.person.does("stop").stderr
        made.person.does("resume", "--detach")
        assert made.status()["alpha"]["state"] == "running"
        made.person.does("stop")
        stat = read_stat(runner)
        assert stat is not None
        assert stat.state == "Z", "it was one all the time"


# --- memory ----------------------------------------------------------------------------------------------------------

#: Ends when it was looked at.
LOOKED_AT = 'until [ -e "$LOG.seen" ]; do sleep 0.05; done'

#: Takes 400 MB, and is the attempt's main process.
HUNGRY = "exec python3 -c 'import time; x = b\"x\" * (400 << 20); time.sleep(5)'"


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A cgroup in which 200 MB is all there is, for whoever puts themselves into it."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    parent, limit = (v1, "memory.limit_in_bytes") if v1.is_dir() else (v2, "memory.max")
    folder = parent / f"sltfleet-test-{uuid.uuid4().hex[:12]}"
    try:
        folder.mkdir()
        (folder / limit).write_text(str(200 << 20))
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no memory cgroup can be made here (tried {folder}): {error.strerror}")
    try:
        yield folder
    finally:
        wait_for(lambda: not (folder / "cgroup.procs").read_text().strip(), "the end of all in the cgroup")
        folder.rmdir()


def test_a_test_that_the_kernel_kills_for_memory_is_oom_and_the_runner_goes_on(
    odd_path: Path, small_cgroup: Path
) -> None:
    shell = odd_path / "shell in the cgroup"
    shell.write_text(f'#!/bin/sh\necho $$ >{small_cgroup}/cgroup.procs\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    units = (HUNGRY, LOOKED_AT, "sleep 0.3")
    suite = {"memory_reserve": "1KiB"}
    with campaign(odd_path, units, (LoopbackHost("alpha", login_shell=str(shell)),), suite=suite) as made:
        made.person.does("sync")
        made.person.does("run", "--workers", "3", "--budget", "300s", "--passes", "2", "--detach")
        runner = made.identity("alpha").pid
        assert str(runner) in (small_cgroup / "cgroup.procs").read_text().split()
        wait_for(lambda: any(score(pid) == 500 for pid in made.attempts_alive("alpha")), "attempts that go first")
        assert score(runner) == 0
        Path(f"{made.log}.seen").touch()
        told = made.person.types("status", "--watch")
        assert "finished" in told.stdout, told.said
        outcomes = {event.unit: event.outcome for event in made.finished("alpha")}
        assert outcomes == {HUNGRY: "oom", LOOKED_AT: "pass", "sleep 0.3": "pass"}
        assert made.person.does("fetch", "--format", "json").json()["summary"]["outcomes"]["oom"] == 2


def test_a_test_that_takes_more_than_its_limit_is_oom(odd_path: Path) -> None:
    suite = {"memory_limit": "100MiB"}
    with campaign(odd_path, (HUNGRY, "sleep 0.3"), suite=suite) as made:
        made.person.does("sync")
        run = made.person.types("run", "--workers", "2", "--budget", "300s", "--passes", "1")
        assert run.exit_code == 1, run.said
        (killed,) = [event for event in made.finished("alpha") if event.unit == HUNGRY]
        assert (killed.outcome, killed.signal) == ("oom", signal.SIGKILL)
        assert "oom" in made.person.does("logs", "--failed").stdout


def score(pid: int) -> int | None:
    """How gladly the kernel takes a process when memory runs out; None where it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())
    return None


# --- the end of the login, and runners that hang ---------------------------------------------------------------------


def test_the_end_of_the_login_and_sighup_do_not_end_the_run(odd_path: Path) -> None:
    with campaign(odd_path, ("sleep 0.1", "sleep 0.2")) as made:
        made.person.does("sync")
        watching = made.person.start("run", "--workers", "2", "--budget", "300s")
        wait_for(lambda: bool(made.finished("alpha")), "an attempt that is over")
        runner = made.identity("alpha").pid
        assert os.getsid(runner) == runner
        # The person's terminal goes away with all that is in it; then every login of the host is ended.
        os.killpg(watching.pid, signal.SIGHUP)
        made.loopback.close()
        os.kill(runner, signal.SIGHUP)
        os.killpg(os.getpgid(runner), signal.SIGHUP)
        count = len(made.finished("alpha"))
        wait_for(lambda: len(made.finished("alpha")) > count + 4, "a run that goes on")
        assert pid_is_alive(runner)


def test_a_runner_that_is_alive_and_makes_no_progress_is_stalled_and_goes_on_when_it_can(odd_path: Path) -> None:
    """SIGSTOP does it. The 20 s until it counts as stalled are not waited for: its last words are dated back."""
    with campaign(odd_path, ("sleep 0.1", "sleep 0.2")) as made:
        made.person.does("sync")
        made.person.does("run", "--workers", "2", "--budget", "300s", "--detach")
        wait_for(lambda: bool(made.finished("alpha")), "an attempt that is over")
        runner = made.identity("alpha").pid
        os.kill(runner, signal.SIGSTOP)
        wait_for(lambda: (stat := read_stat(runner)) is not None and stat.state == "T", "a runner that is stopped")
        try:
            path = made.run_dir("alpha") / "state.json"
            state = json.loads(path.read_bytes())
            path.write_text(json.dumps({**state, "written_wall_s": state["written_wall_s"] - 25.0}))
            told = made.person.types("status")
            assert "stalled" in told.stdout
            assert "running" not in told.stdout
            refused = made.person.does("resume", code=6)
            assert "it is still running" in refused.stderr
        finally:
            os.kill(runner, signal.SIGCONT)
        wait_for(lambda: made.status()["alpha"]["state"] == "running", "a runner that goes on")
        os.kill(runner, signal.SIGSTOP)
        made.person.does("stop")
        assert made.status()["alpha"]["state"] == "stopped", "it was woken to say goodbye"
        assert not made.attempts_alive("alpha")
        assert_every_attempt_once(made)


def assert_every_attempt_once(made: Campaign) -> None:
    numbers = [event.attempt for event in made.journal("alpha") if isinstance(event, AttemptFinished)]
    assert len(numbers) == len(set(numbers))
