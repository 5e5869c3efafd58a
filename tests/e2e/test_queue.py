"""A shared queue from end to end: three hosts behind sshd, and a real Redis with a password."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.core.polling import DONE, LOST
from sltfleet.demo.loopback import LoopbackHost
from sltfleet.runner.processes import is_alive
from sltfleet.wire.events import AttemptFinished, Counted, RunResumed
from sltfleet.wire.outcome import VERDICTS
from tests.faults.campaign import Campaign, campaign
from tests.support.redis import RedisProcess
from tests.support.waiting import wait_for

HOSTS = ("alpha", "beta", "gamma")
WORKERS = 2

#: The first four attempts of each host are over soon; all others take until the test lets them go, at once where
#: nothing is to happen in the middle of a pass.
_HELD = 'echo >>"$TURNS"; [ "$(wc -l <"$TURNS")" -le 4 ] || until [ -e "$LOG.go" ]; do sleep 0.05; done'

#: Every 7th fails; a verdict is a verdict.
UNITS = tuple(
    f"{_HELD}; sleep 0.{20 + number % 11}; {'false' if number % 7 == 0 else ':'} unit {number}" for number in range(40)
)

SECRET = "s3cr3t"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis", password=f"{SECRET}/@pw") as running:
        yield running


@contextlib.contextmanager
def fleet(folder: Path, server: RedisProcess, *, held: bool = False) -> Iterator[Campaign]:
    """Three synced hosts; the queue's address is in the person's environment. No argv may ever have the secret.

    `held`: most units wait until the test lets them go.
    """
    seen: set[bytes] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    words = path.read_bytes()
                    if SECRET.encode() in words:
                        seen.add(words)

    hosts = [LoopbackHost(name, environment={"TURNS": str(folder / f"turns of {name}")}) for name in HOSTS]
    with campaign(folder, UNITS, hosts) as made:
        if not held:
            let_go(made)
        made.person.environ["SLTFLEET_QUEUE"] = server.url
        made.person.does("sync")
        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield made
        finally:
            done.set()
            watcher.join()
    assert not seen


def let_go(made: Campaign) -> None:
    Path(f"{made.log}.go").touch()


def start(made: Campaign, *words: str) -> None:
    typed = made.person.does("run", "--workers", str(WORKERS), "--detach", "-v", *words)
    assert SECRET not in typed.said


def ended(made: Campaign) -> bool:
    return not any(is_alive(made.identity(host)) for host in HOSTS)


def counted(made: Campaign) -> Counter[tuple[int, str]]:
    """How often the queue counted each unit in each pass, by the journals on the hosts."""
    found: Counter[tuple[int, str]] = Counter()
    for host in HOSTS:
        events = made.journal(host)  # read once: it grows
        units = {
            event.attempt: event.unit
            for event in events
            if isinstance(event, AttemptFinished) and event.outcome in VERDICTS
        }
        for event in events:
            if isinstance(event, Counted):
                found.update((event.pass_number, units[attempt]) for attempt in event.attempts)
    return found


def counted_since_resumed(made: Campaign, host: str) -> list[Counted]:
    events = made.journal(host)
    at = next(place for place, event in enumerate(events) if isinstance(event, RunResumed))
    return [event for event in events[at:] if isinstance(event, Counted)]


def complete_passes(found: Counter[tuple[int, str]]) -> int:
    per_pass = Counter(pass_number for pass_number, _ in found)
    return sum(units == len(UNITS) for units in per_pass.values())


def assert_every_attempt_is_accounted_for(made: Campaign) -> None:
    """The tests' own log, the journals and what `fetch` tells are one."""
    report = made.person.does("fetch", "--format", "json").json()
    journals = {host: made.finished(host) for host in HOSTS}
    for told in report["hosts"]:
        finished = journals[told["host"]]
        assert set(Counter(event.attempt for event in finished).values()) == {1}
        assert told["utilization"]["outcomes"] == Counter(event.outcome for event in finished)
        assert told["unfinished"] == len(made.started(told["host"])) - len(finished)
    verdicts = sum(event.outcome in VERDICTS for finished in journals.values() for event in finished)
    assert report["shared"]["counted"] + report["shared"]["uncounted"] == verdicts
    ran = Counter(unit for what, _, unit in made.observed() if what == "end")
    for unit in UNITS:
        whole = sum(
            event.unit == unit and event.outcome in VERDICTS for finished in journals.values() for event in finished
        )
        # A unit may have come to its own end and its runner to an earlier one.
        assert whole <= ran[unit] <= whole + WORKERS + 1
    assert report["summary"]["units_covered"] == len(UNITS)


def assert_the_secret_is_nowhere(made: Campaign) -> None:
    """Only `share.json`, which nobody else may read, has it."""
    keepers = []
    for path in made.person.cwd.parent.rglob("*"):
        if path.is_file() and not path.is_symlink() and SECRET.encode() in path.read_bytes():
            keepers.append(path)
    assert {path.name for path in keepers} == {"share.json"}
    assert {path.stat().st_mode & 0o777 for path in keepers} == {0o600}


def test_in_each_complete_pass_every_unit_is_counted_exactly_once(odd_path: Path, server: RedisProcess) -> None:
    with fleet(odd_path, server) as made:
        start(made, "--passes", "2", "--budget", "250s")
        wait_for(lambda: all(made.state(host).fleet_covered for host in HOSTS), "coverage by the queue")
        wait_for(lambda: ended(made), "the end of the run")
        found = counted(made)
        assert set(found.values()) == {1}
        assert complete_passes(found) == 2
        report = made.person.does("fetch", "--format", "json").json()
        assert report["shared"]["passes"] == complete_passes(found)
        assert report["shared"]["counted"] == len(found)
        assert sum(host["first_pass"] for host in report["shared"]["hosts"]) == len(UNITS)
        # Without a fault the fleet does each unit once in the first pass, but where an answer came too late.
        first = Counter(event.unit for host in HOSTS for event in made.finished(host) if event.pass_number == 1)
        assert first.total() < 1.5 * len(UNITS)
        assert_every_attempt_is_accounted_for(made)
        assert_the_secret_is_nowhere(made)


def test_when_a_host_dies_the_others_do_its_units(odd_path: Path, server: RedisProcess) -> None:
    with fleet(odd_path, server, held=True) as made:
        start(made, "--budget", "250s", "--passes", "1")
        wait_for(lambda: len(made.finished("beta")) >= 3, "a few attempts on beta")
        made.kill_runner("beta")
        let_go(made)
        wait_for(lambda: ended(made), "the end of the run")
        states = {name: host["state"] for name, host in made.status().items()}
        assert states == {"alpha": DONE, "beta": LOST, "gamma": DONE}
        found = counted(made)
        missing = set(UNITS) - {unit for _, unit in found}
        # What the queue counted of beta's, but beta's journal was not told any more.
        assert missing <= {event.unit for event in made.finished("beta")}
        assert set(found.values()) == {1}
        assert_every_attempt_is_accounted_for(made)


def test_a_host_that_is_resumed_comes_back_into_the_queue(odd_path: Path, server: RedisProcess) -> None:
    with fleet(odd_path, server) as made:
        start(made, "--budget", "250s")
        wait_for(lambda: len(made.finished("beta")) >= 3, "a few attempts on beta")
        made.kill_runner("beta")
        wait_for(lambda: made.status()["beta"]["state"] == LOST, "a lost host")
        typed = made.person.does("resume", "--detach")
        assert "beta: resuming: goes on after " in typed.stderr
        assert "alpha: resuming: not resumed: it is still running" in typed.stderr
        wait_for(lambda: bool(counted_since_resumed(made, "beta")), "verdicts of beta that count again")
        wait_for(lambda: made.state("beta").trouble == "", "a host in touch with the queue")
        wait_for(lambda: {unit for _, unit in counted(made)} == set(UNITS), "a verdict that counts for each unit")
        made.person.does("stop")
        wait_for(lambda: ended(made), "the end of the run")
        assert set(counted(made).values()) == {1}
        assert_every_attempt_is_accounted_for(made)
        assert_the_secret_is_nowhere(made)


def test_when_the_queue_dies_and_comes_back_the_run_goes_on(odd_path: Path, server: RedisProcess) -> None:
    with fleet(odd_path, server) as made:
        start(made, "--budget", "250s")
        wait_for(lambda: all(len(made.finished(host)) >= 3 for host in HOSTS), "a few attempts on each host")
        server.end()
        before = {host: len(made.finished(host)) for host in HOSTS}
        wait_for(lambda: all("queue" in made.state(host).trouble for host in HOSTS), "the trouble")
        told = made.person.types("status")
        assert "queue" in told.stderr
        assert SECRET not in told.said
        wait_for(
            lambda: all(len(made.finished(host)) > before[host] + 4 for host in HOSTS),
            "work without the queue",
        )
        server.start()
        wait_for(lambda: not any(made.state(host).trouble for host in HOSTS), "the queue's return")
        wait_for(lambda: complete_passes(counted(made)) >= 1, "a complete pass")
        made.person.does("stop")
        wait_for(lambda: ended(made), "the end of the run")
        assert set(counted(made).values()) == {1}
        assert_every_attempt_is_accounted_for(made)
        assert_the_secret_is_nowhere(made)


def test_a_run_whose_queue_is_out_of_reach_begins_with_shards(odd_path: Path, server: RedisProcess) -> None:
    with fleet(odd_path, server) as made:
        server.end()
        typed = made.person.does("run", "--workers", "2", "--detach", "--passes", "1", "--budget", "250s")
        assert f"redis://127.0.0.1:{server.port}/0: connection refused" in typed.stderr
        assert "begins with its own share" in typed.stderr
        wait_for(lambda: ended(made), "the end of the run")
        covered = {event.unit for host in HOSTS for event in made.finished(host) if event.outcome in VERDICTS}
        assert covered == set(UNITS)
        told = made.person.types("doctor")
        assert "connection refused" in told.stdout
        server.start()
        told = made.person.types("doctor", "--format", "json")
        assert all(host["queue_round_trip_s"] > 0 for host in told.json()["hosts"])
        assert SECRET not in typed.said + told.said
