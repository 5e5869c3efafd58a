"""Fault 10: clock skew of an hour either way, and a clock that jumps during a run. And a runner that was suspended.

A host's wall clock is shifted for every program on it, by a library of ours that goes before libc; its monotonic clock
is the kernel's, as on any machine. Cargo gets what a clock that was set back leaves on a disk: times in the future.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from sltfleet.app.build import build
from sltfleet.app.fleet import Fleet
from sltfleet.app.progress import silent
from sltfleet.app.sync import sync
from sltfleet.core.building import BuiltSuite
from sltfleet.demo.loopback import LoopbackHost
from sltfleet.runner.processes import read_stat
from sltfleet.wire.events import RunStarted
from tests.faults.campaign import Campaign, campaign
from tests.support.crates import make_crate, says
from tests.support.fleets import local_hosts, opened
from tests.support.waiting import wait_for

HOUR_S = 3600

#: An attempt may take so much longer than its unit, on however slow a machine. It is no hour.
SLOW_S = 600

#: The three ways to ask for the wall clock. No call of the monotonic clock is touched.
SHIFTED_CLOCK = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset_s(void) {
    int before = errno;
    char text[32] = {0};
    const char *path = getenv("CLOCK_OFFSET_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
        close(file);
    }
    errno = before;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset_s();
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec found;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now) *now = found.tv_sec;
    return found.tv_sec;
}
"""


@dataclass(frozen=True)
class HostClock:
    """The wall clock of a host: it goes as ours does, but for an offset that may change at any time."""

    file: Path
    library: Path

    def set(self, offset_s: int) -> None:
        """Let the clock jump to so much from the true time."""
        aside = self.file.with_name("aside")
        aside.write_text(f"{offset_s}\n")
        aside.replace(self.file)

    @property
    def environment(self) -> dict[str, str]:
        """What puts a host's programs under this clock."""
        return {"LD_PRELOAD": str(self.library), "CLOCK_OFFSET_FILE": str(self.file)}


@pytest.fixture
def clock(tmp_path: Path) -> HostClock:
    """A clock that is right so far."""
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(SHIFTED_CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    made = HostClock(tmp_path / "offset", library)
    made.set(0)
    return made


def goes_on(scene: Campaign, attempts: int) -> None:
    """Wait until so many more attempts are over."""
    before = len(scene.finished("alpha"))
    wait_for(lambda: len(scene.finished("alpha")) >= before + attempts)


def assert_durations_are_right(scene: Campaign, unit_s: float, at_most_s: float) -> None:
    """Nothing in journal and state may be longer or shorter than it was, whatever the wall clock did.

    The whole run cannot have lasted longer than `at_most_s`, by the clock of the test.
    """
    finished = scene.finished("alpha")
    done = [event for event in finished if event.outcome == "pass"]
    assert done
    assert all(unit_s <= event.duration_s < unit_s + SLOW_S for event in done)
    assert all(0 <= event.duration_s <= event.t <= at_most_s for event in finished)
    times = [event.t for event in scene.journal("alpha")]
    assert times == sorted(times)
    state = scene.state("alpha")
    assert finished[-1].t <= state.elapsed_s <= at_most_s
    assert 0 < state.occupancy <= 1
    # No attempt lost, none counted twice: the tests' own log, the journal and the tables agree.
    seen = [pid for what, pid, _ in scene.observed() if what == "start"]
    started = {event.pid: event.attempt for event in scene.started("alpha")}
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(started)
    # Only what was cut may have come to its end before it could say that it began.
    cut = {event.attempt for event in finished if event.outcome == "cut"}
    assert {started[pid] for pid in set(started) - set(seen)} <= cut
    assert sum(scene.fetched_outcomes().values()) == len(finished) == len(started)


@pytest.mark.parametrize("offset_s", [HOUR_S, -HOUR_S], ids=["ahead", "behind"])
def test_durations_are_right_on_a_host_whose_clock_is_wrong_by_an_hour(
    offset_s: int, clock: HostClock, odd_path: Path
) -> None:
    clock.set(offset_s)
    hosts = [LoopbackHost("alpha", environment=clock.environment)]
    with campaign(odd_path, ["sleep 0.3"], hosts) as scene:
        scene.person.does("sync")
        shown = scene.person.types("doctor").stdout
        assert "clock" in shown, shown
        begin_s = time.monotonic()
        scene.person.does("run", "--workers", "2", "--passes", "4", "--budget", "300s")
        took_s = time.monotonic() - begin_s
        (begun,) = (event for event in scene.journal("alpha") if isinstance(event, RunStarted))
        assert abs(begun.wall_s - time.time() - offset_s) < SLOW_S
        assert scene.status()["alpha"]["state"] == "finished"
        assert_durations_are_right(scene, 0.3, took_s)


def test_durations_are_right_when_the_clock_jumps_during_the_run(clock: HostClock, odd_path: Path) -> None:
    hosts = [LoopbackHost("alpha", environment=clock.environment)]
    with campaign(odd_path, ["sleep 0.3"], hosts, suite={"timeout": "60s"}) as scene:
        scene.person.does("sync")
        begin_s = time.monotonic()
        scene.person.does("run", "--workers", "2", "--budget", "300s", "--detach")
        for offset_s in (HOUR_S, -HOUR_S):
            clock.set(offset_s)
            # It goes on: nothing times out, nothing waits for an hour to pass.
            goes_on(scene, 3)
        assert scene.status()["alpha"]["state"] == "running"
        scene.person.does("stop")
        assert scene.status()["alpha"]["state"] == "stopped"
        assert {event.outcome for event in scene.finished("alpha")} <= {"pass", "cut"}
        assert_durations_are_right(scene, 0.3, time.monotonic() - begin_s)


def test_a_runner_that_was_suspended_goes_on_with_its_run(odd_path: Path) -> None:
    with campaign(odd_path, ["sleep 0.2"]) as scene:
        scene.person.does("sync")
        scene.person.does("run", "--workers", "2", "--budget", "300s", "--detach")
        pid = scene.identity("alpha").pid
        wait_for(lambda: len(scene.finished("alpha")) > 2)
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: (stat := read_stat(pid)) is not None and stat.state == "T")
        time.sleep(1.5)  # longer than the runner ever waits for a signal
        os.kill(pid, signal.SIGCONT)
        goes_on(scene, 5)
        assert scene.status()["alpha"]["state"] == "running"
        scene.person.does("stop")
        assert {event.outcome for event in scene.finished("alpha")} <= {"pass", "cut"}


def sync_and_build(fleet: Fleet, *, force: bool = False) -> BuiltSuite:
    assert not sync(fleet, silent).errors
    name, suite = fleet.suite()
    results = build(fleet, name, suite, silent, force=force)
    assert not results.errors, results.errors
    return results.values["one"]


def what_it_says(built: BuiltSuite) -> str:
    done = subprocess.run([built.binary, "--nocapture"], capture_output=True, text=True, check=True)
    return done.stdout.partition("said ")[2].split("\n")[0]


def made_ns(built: BuiltSuite) -> int:
    return Path(built.binary).stat().st_mtime_ns


def set_the_clock_back(project: Path, by_s: int) -> None:
    """Leave the project's folder as a clock that is then set back by `by_s` does: everything lies in the future."""
    # All are read before one is set: some are hard links to one file.
    times = {path: path.lstat().st_mtime_ns + by_s * 10**9 for path in [project, *project.rglob("*")]}
    for path, ns in times.items():
        os.utime(path, ns=(ns, ns), follow_symlinks=False)


@pytest.mark.cargo
@pytest.mark.parametrize("back_s", [HOUR_S, -HOUR_S, 2 * HOUR_S], ids=["hour-back", "hour-on", "two-hours-back"])
def test_cargo_rebuilds_exactly_when_content_changed_although_the_hosts_clock_was_set(
    back_s: int, odd_path: Path
) -> None:
    source = make_crate(odd_path / "repo") / "src" / "lib.rs"
    suites = {"tiny": {"build": {"test": "it"}, "units": {"kind": "partitions", "count": 2}}}
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites) as fleet:
        first = sync_and_build(fleet)
        assert what_it_says(first) == "one"
        set_the_clock_back(odd_path / "root of one" / "sample", back_s)
        # Unchanged: nothing is compiled, also by a cargo that is asked.
        assert sync_and_build(fleet).cached
        before = made_ns(first)
        assert made_ns(sync_and_build(fleet, force=True)) == before
        # Changed, to something as long: compiled, and once only.
        source.write_text(says("two"))
        changed = sync_and_build(fleet)
        assert what_it_says(changed) == "two"
        before = made_ns(changed)
        assert made_ns(sync_and_build(fleet, force=True)) == before
        assert sync_and_build(fleet).cached
