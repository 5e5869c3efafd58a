"""Fault 19: a hung file; one that ignores SIGTERM; one that is stuck in uninterruptible sleep."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.runner.endings import GIVE_UP_AFTER_S
from sltfleet.runner.processes import read_stat
from sltfleet.wire.events import Note, RunFinished
from tests.faults.campaign import campaign
from tests.support.waiting import wait_for

HANGS = "sleep 300"

#: What passes and fails must have done so within that, by the side of whatever else this machine does.
TIMEOUT = "5s"

IGNORES_SIGTERM = "trap '' TERM; while :; do sleep 0.2; done"

#: Of cgroup v1: what is frozen there is in state D, and no signal reaches it until it is thawed, SIGKILL included.
#: (The frozen groups of cgroup v2 can be killed, and so can the parent of a vfork.)
FREEZERS = Path("/sys/fs/cgroup/freezer")
STUCK = 'echo $$ >"$FREEZER/tasks"; echo FROZEN >"$FREEZER/freezer.state"; sleep 300'


def test_a_hung_file_and_one_that_ignores_sigterm_time_out_and_the_others_go_on(odd_path: Path) -> None:
    suite = {"timeout": TIMEOUT}
    with campaign(odd_path, [HANGS, IGNORES_SIGTERM, "true"], suite=suite) as scene:
        scene.person.does("sync")
        scene.person.does("run", "--workers", "2", "--passes", "1", "--budget", "300s", code=1)
        outcomes = {event.unit: event.outcome for event in scene.finished("alpha")}
        assert outcomes == {HANGS: "timeout", IGNORES_SIGTERM: "timeout", "true": "pass"}
        assert scene.attempts_alive("alpha") == []
        shown = scene.person.does("logs", "--failed").stdout
        assert shown.count("timed out after 5 s") == 2
        assert scene.fetched_outcomes() == {"pass": 1, "timeout": 2}


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A freezer of its own; what is in it at the end is thawed, and ends by the SIGKILL that it was sent."""
    folder = FREEZERS / f"sltfleet-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"uninterruptible sleep takes root and the freezer of cgroup v1: {error}")
    try:
        yield folder
    finally:
        (folder / "freezer.state").write_text("THAWED")
        for pid in (folder / "tasks").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        wait_for(lambda: not (folder / "tasks").read_text())
        folder.rmdir()


def test_a_file_in_uninterruptible_sleep_is_reported_and_not_waited_for(odd_path: Path, freezer: Path) -> None:
    suite = {"timeout": TIMEOUT, "env": {"FREEZER": str(freezer)}}
    with campaign(odd_path, [STUCK, "true", "false"], suite=suite) as scene:
        scene.person.does("sync")
        started_s = time.monotonic()
        watched = scene.person.does("run", "--workers", "2", "--passes", "1", "--budget", "300s", code=1)
        # Neither its worker nor the run's end waited for it: the passes are done, long before the budget is.
        assert time.monotonic() - started_s < GIVE_UP_AFTER_S + 150
        (pid,) = [event.pid for event in scene.started("alpha") if event.unit == STUCK]
        stat = read_stat(pid)
        assert stat is not None
        assert stat.state == "D"
        ended = [event for event in scene.journal("alpha") if isinstance(event, RunFinished)]
        assert [event.reason for event in ended] == ["passes"]
        assert {event.unit: event.outcome for event in scene.finished("alpha")} == {
            STUCK: "timeout",
            "true": "pass",
            "false": "fail",
        }
        # And it is named: by the live display, by status, in the journal, by stop.
        assert f"SIGKILL does not end: {pid}" in scene.person.does("status").stderr
        notes = [event.text for event in scene.journal("alpha") if isinstance(event, Note)]
        assert any(f"process {pid} could not be ended" in text for text in notes)
        assert scene.fetched_outcomes() == {"pass": 1, "fail": 1, "timeout": 1}
        assert f"process {pid} could not be ended" in scene.person.does("report").stdout
        stopped = scene.person.does("stop", code=6)
        assert "processes of the run do not die" in stopped.stderr
        assert f"why: pids {pid}" in stopped.stderr
        assert "stuck in the kernel" in stopped.stderr
        assert watched.exit_code == 1
