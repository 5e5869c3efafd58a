"""Two controllers at once, and locks that a dead one or another boot has left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from sltfleet.runner.processes import read_stat
from sltfleet.wire.state import Identity, identity_to_line
from tests.faults.books import expect_the_books_to_agree
from tests.faults.campaign import campaign
from tests.support.cli import Person
from tests.support.waiting import wait_for


def test_of_two_controllers_that_start_at_once_one_runs_and_the_other_is_told(odd_path: Path) -> None:
    with campaign(odd_path, ["sleep 0.05"]) as fleet:
        fleet.person.does("sync")
        starts = [fleet.person.start("run", "-d", "--budget", "300s", "-j", "2") for _ in range(4)]
        typed = [fleet.person.finish(process) for process in starts]
        assert sorted(one.exit_code for one in typed) == [0, 6, 6, 6], [one.said for one in typed]
        for refused in (one for one in typed if one.exit_code):
            assert "a run is active on this host" in refused.stderr
            assert "`sltfleet run --replace` ends it" in refused.stderr
        # No trace of those that were refused, here or there.
        assert len(list(fleet.project_dir("alpha").glob("runs/*"))) == 1
        wait_for(lambda: fleet.finished("alpha"), "an attempt that is over")
        fleet.person.does("stop")
        expect_the_books_to_agree(fleet, "alpha")


def test_a_second_person_sees_the_run_of_the_first_and_may_end_it(odd_path: Path) -> None:
    with campaign(odd_path, ["sleep 0.05"]) as fleet:
        fleet.person.does("sync")
        fleet.person.does("run", "-d", "--budget", "300s")
        wait_for(lambda: fleet.finished("alpha"), "an attempt that is over")
        folder = odd_path / "another person"
        folder.mkdir()
        (folder / "repo").mkdir()
        (folder / "fleet.yaml").write_bytes((fleet.person.cwd / "fleet.yaml").read_bytes())
        with Person(folder, fleet.person.home, dict(fleet.person.environ)) as other:
            (seen,) = other.does("status", "--format", "json").json()["hosts"]
            assert seen["state"] == "running"
            assert "a run is active" in other.does("clean", "--all", "-y", code=6).stderr
            other.does("stop")
        assert fleet.status()["alpha"]["state"] == "stopped"
        expect_the_books_to_agree(fleet, "alpha")


def test_a_lock_that_a_killed_runner_has_left_stops_nobody(odd_path: Path) -> None:
    with campaign(odd_path, ["sleep 0.05"]) as fleet:
        fleet.person.does("sync")
        fleet.person.does("run", "-d", "--budget", "300s")
        wait_for(lambda: fleet.observed())
        # Runner and attempts die at once, as on a host that loses its power: nobody takes a lock away.
        fleet.kill_runner("alpha")
        for pid in fleet.attempts_alive("alpha"):
            with contextlib.suppress(ProcessLookupError):  # it lasts no longer than a moment
                os.kill(pid, signal.SIGKILL)
        locks = {name: fleet.project_dir("alpha") / name for name in ("run.lock", "launch.lock")}
        assert all(path.exists() for path in locks.values())
        assert fleet.status()["alpha"]["state"] == "lost"
        fleet.person.does("run", "-d", "--budget", "1s")
        wait_for(lambda: fleet.status()["alpha"]["state"] == "finished")


def test_a_lock_from_before_a_reboot_stops_nobody_and_its_pid_is_not_signalled(odd_path: Path) -> None:
    with campaign(odd_path, ["sleep 0.05"]) as fleet, subprocess.Popen(["sleep", "1000"]) as stranger:
        try:
            fleet.person.does("sync")
            fleet.person.does("run", "--budget", "1s")
            # As if the host had gone down in the middle of the run: a stranger has the runner's pid and start time now.
            run_dir = fleet.run_dir("alpha")
            look = read_stat(stranger.pid)
            assert look is not None
            identity = Identity("00000000-0000-4000-8000-000000000000", stranger.pid, look.start_ticks)
            (run_dir / "identity").write_text(identity_to_line(identity))
            state = (run_dir / "state.json").read_text()
            (run_dir / "state.json").write_text(state.replace('"phase":"finished"', '"phase":"running"'))
            assert fleet.status()["alpha"]["state"] == "lost"
            fleet.person.does("stop")
            fleet.person.does("run", "--budget", "1s", "--replace")
            assert fleet.run_dir("alpha") != run_dir
            assert stranger.poll() is None
        finally:
            stranger.kill()
