"""Real runners that share a real queue: what they hand out to each other, and what they do without it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app.archive import runner_archive
from sltfleet.wire.codec import to_text
from sltfleet.wire.events import AttemptStarted, Counted, Event, Note, PassFinished, RunResumed
from sltfleet.wire.handshake import Launched
from sltfleet.wire.share import Member, QueueAccess, Share
from sltfleet.wire.spec import Limits, PartitionUnits, Spec
from tests.contract.runner_host import RunnerHost, finished, of
from tests.support.redis import PASSWORD, RedisProcess
from tests.support.waiting import wait_for

NAMES = ("alpha", "bêta")

#: As in fleet.yaml; and one for tests that wait for its end. (A step of an exchange may take a fifth of it.)
LEASE_S = 15.0
SHORT_LEASE_S = 4.0

#: The first six attempts of each host are over soon, and all others take until the test lets them go: what is to happen
#: in the middle of a pass happens there, on however slow a machine. `$LOG` is the host's own.
HELD = 'echo >>"$LOG"; [ "$(wc -l <"$LOG")" -le 6 ] || until [ -e "$GO" ]; do sleep 0.05; done; sleep 0.1'


class QueueFleet:
    """Two hosts and their queue."""

    def __init__(self, base: Path, server: RedisProcess) -> None:
        self.server = server
        archive = runner_archive(queue=True)
        self.hosts: dict[str, RunnerHost] = {}
        self.specs: dict[str, Spec] = {}
        self.pids: dict[str, int] = {}
        self._go = base / "go"
        for name in NAMES:
            (base / name).mkdir()
            host = self.hosts[name] = RunnerHost(base / name)
            host.archive = host.root / archive.name
            host.archive.write_bytes(archive.data)

    def launch(
        self, script: str, *, url: str | None = None, units: int = 40, lease_s: float = LEASE_S, **changes: object
    ) -> None:
        access = QueueAccess(url or self.server.url, lease_s)
        members = tuple(Member(name, 2) for name in NAMES)
        for name, host in self.hosts.items():
            plain = {"host": name, "units": PartitionUnits(units), "budget_s": 250.0, "limits": Limits(timeout_s=250.0)}
            spec = host.spec(script, **{**plain, **changes})
            spec = replace(spec, env={**spec.env, "GO": str(self._go)})
            share = host.put(spec) / "share.json"
            share.touch(0o600)
            share.write_text(to_text(Share(name, members, access)))
            code, _, text = host.call("prepare", str(host.run_dir(spec)))
            assert code == 0, text
            self.specs[name] = spec
        with ThreadPoolExecutor() as pool:  # at the same time, as the controller does
            for name, pid in zip(NAMES, pool.map(self._start, NAMES), strict=True):
                self.pids[name] = pid

    def _start(self, name: str) -> int:
        host = self.hosts[name]
        _, answer, text = host.call("launch", str(host.run_dir(self.specs[name])))
        assert isinstance(answer, Launched), text
        return answer.identity.pid

    def let_go(self) -> None:
        """Let the units of HELD come to their ends."""
        self._go.touch()

    def kill(self, name: str) -> None:
        os.kill(self.pids[name], signal.SIGKILL)

    def resume(self, name: str, archive: Path | None = None) -> None:
        """Go on with a host's part, with another runner than before where `archive` names one."""
        host = self.hosts[name]
        host.archive = archive or host.archive
        _, answer, text = host.call("resume", str(host.run_dir(self.specs[name])))
        assert isinstance(answer, Launched), text
        self.pids[name] = answer.identity.pid

    def since_resumed(self, name: str) -> list[Event]:
        events = self.hosts[name].journal(self.specs[name])
        return events[next(at for at, event in enumerate(events) if isinstance(event, RunResumed)) :]

    def attempts(self, name: str) -> int:
        return len(finished(self.hosts[name].journal(self.specs[name])))

    def trouble(self, name: str) -> str:
        return self.hosts[name].state(self.specs[name]).trouble

    def notes(self, name: str) -> list[str]:
        return [note.text for note in of(self.hosts[name].journal(self.specs[name]), Note)]

    def wait_for_attempts(self, count: int, *names: str) -> None:
        for name in names or NAMES:
            wait_for(lambda name=name: self.attempts(name) >= count, f"{count} attempts on {name}")  # type: ignore[misc]

    def wait_for_trouble(self, text: str) -> None:
        for name in NAMES:
            wait_for(lambda name=name: text in self.trouble(name), f"{text!r} on {name}")  # type: ignore[misc]

    def wait_for_peace(self) -> None:
        for name in NAMES:
            wait_for(lambda name=name: self.trouble(name) == "", f"the queue to be back on {name}")  # type: ignore[misc]

    def wait_for_end(self, *names: str) -> None:
        for name in names or NAMES:
            wait_for(
                lambda name=name: self.hosts[name].state(self.specs[name]).phase == "finished",  # type: ignore[misc]
                f"the end of {name}",
            )

    def stop(self) -> None:
        for name in NAMES:
            self.hosts[name].stop(self.specs[name])

    def started(self) -> Counter[tuple[int, str]]:
        """How often an attempt of a unit was started in a pass, on all hosts together."""
        events = (event for name, host in self.hosts.items() for event in host.journal(self.specs[name]))
        return Counter((one.pass_number, one.unit) for one in events if isinstance(one, AttemptStarted))

    def counted(self) -> Counter[tuple[int, str]]:
        """How often an attempt of a unit was counted in a pass, as all journals say together."""
        found: Counter[tuple[int, str]] = Counter()
        for name, host in self.hosts.items():
            journal = host.journal(self.specs[name])
            ended = {event.attempt: event for event in finished(journal)}
            for event in of(journal, Counted):
                for attempt in event.attempts:
                    assert ended[attempt].pass_number == event.pass_number
                    assert ended[attempt].outcome != "cut"
                    found[event.pass_number, ended[attempt].unit] += 1
        return found

    def files(self) -> Iterator[Path]:
        for name, host in self.hosts.items():
            yield from (path for path in host.run_dir(self.specs[name]).rglob("*") if path.is_file())


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path) as server:
        yield server


@pytest.fixture
def fleet(odd_path: Path, redis: RedisProcess) -> Iterator[QueueFleet]:
    fleet = QueueFleet(odd_path, redis)
    try:
        yield fleet
    finally:
        for host in fleet.hosts.values():
            host.end_everything()


def test_two_hosts_make_one_pass_together_and_run_every_unit_once(fleet: QueueFleet) -> None:
    fleet.launch("sleep 0.$((${UNIT%/*} % 5))", units=60, passes=1)
    fleet.wait_for_end()
    everything = {(1, f"{number}/60") for number in range(60)}
    assert set(fleet.started()) == everything
    # A host that waits too long for the queue's answer, as it may on a loaded machine, takes units of its own.
    assert sum(fleet.started().values()) < 1.5 * len(everything)
    assert fleet.counted() == Counter(everything)
    for name, host in fleet.hosts.items():
        journal = host.journal(fleet.specs[name])
        assert [(one.pass_number, one.units) for one in of(journal, PassFinished)] == [(1, 60)]
        state = host.state(fleet.specs[name])
        assert (state.reason, state.fleet_covered, state.trouble) == ("passes", 60, "")
        assert fleet.attempts(name) > 0
    with fleet.server.client() as client:
        left = client.keys("*")
        assert left
        assert all(0 < client.ttl(key) <= 250 + 86_400 for key in left)


def test_what_a_killed_host_had_claimed_is_run_by_the_other(fleet: QueueFleet) -> None:
    fleet.launch(HELD, passes=1, lease_s=SHORT_LEASE_S)
    fleet.wait_for_attempts(4)
    fleet.kill("alpha")
    fleet.let_go()
    fleet.wait_for_end("bêta")
    counted = fleet.counted()
    assert set(counted.values()) == {1}
    # What alpha had told in its very last moment is counted by the queue, and alpha's journal may lack that.
    assert len(counted) >= 40 - 4
    assert fleet.hosts["bêta"].state(fleet.specs["bêta"]).fleet_covered == 40
    assert {unit for _, unit in fleet.started()} == {f"{number}/40" for number in range(40)}
    # Only what alpha ran or had not told when it was killed was started a second time.
    assert sum(fleet.started().values()) <= 40 + 16


def test_a_queue_that_hangs_stops_nobody_and_counts_everything_when_it_goes_on(fleet: QueueFleet) -> None:
    fleet.launch("sleep 0.05", lease_s=SHORT_LEASE_S)
    fleet.wait_for_attempts(10)
    fleet.server.send(signal.SIGSTOP)
    fleet.wait_for_trouble("the queue is out of reach since")
    before = {name: fleet.attempts(name) for name in NAMES}
    for name in NAMES:
        fleet.wait_for_attempts(before[name] + 20, name)
    assert "working on its own shard" in fleet.trouble("alpha")
    fleet.server.send(signal.SIGCONT)
    fleet.wait_for_peace()
    fleet.wait_for_attempts(before["alpha"] + 60)
    fleet.stop()
    assert set(fleet.counted().values()) == {1}
    first = {unit for number, unit in fleet.counted() if number == 1}
    assert first == {f"{number}/40" for number in range(40)}
    for name in NAMES:
        kinds = [note.split(" since")[0].split(" after")[0] for note in fleet.notes(name) if "queue" in note]
        assert kinds[:2] == ["the queue is out of reach", "the queue is back"]


def test_a_queue_that_was_restarted_empty_is_made_anew(fleet: QueueFleet) -> None:
    fleet.launch("sleep 0.05", lease_s=SHORT_LEASE_S)
    fleet.wait_for_attempts(10)
    fleet.server.end()
    fleet.wait_for_trouble("the queue is out of reach since")
    fleet.server.start()
    for name in NAMES:  # which may be over before the next state is written
        wait_for(lambda name=name: any("the queue was made anew" in note for note in fleet.notes(name)), "a new queue")  # type: ignore[misc]
    fleet.wait_for_peace()
    before = {name: len(fleet.counted()) for name in NAMES}
    wait_for(lambda: len(fleet.counted()) > before["alpha"] + 20, "verdicts that count")
    fleet.stop()
    assert set(fleet.counted().values()) == {1}


def test_a_host_that_was_gone_for_longer_than_its_lease_counts_nothing_twice(fleet: QueueFleet) -> None:
    everything = {(1, f"{number}/60") for number in range(60)}
    fleet.launch(HELD, units=60, passes=1, lease_s=SHORT_LEASE_S)
    fleet.wait_for_attempts(4)
    os.kill(fleet.pids["alpha"], signal.SIGSTOP)
    fleet.let_go()
    # Its lease goes by, and the other one runs what it held.
    fleet.wait_for_end("bêta")
    assert fleet.hosts["bêta"].state(fleet.specs["bêta"]).fleet_covered == 60
    os.kill(fleet.pids["alpha"], signal.SIGCONT)
    fleet.wait_for_end("alpha")
    assert fleet.counted() == Counter(everything)
    assert {place for place, times in fleet.started().items() if times == 2}  # which alpha ran to their end as well


def test_a_host_that_is_resumed_makes_the_passes_with_the_others_to_their_end(fleet: QueueFleet) -> None:
    everything = {(number, f"{unit}/40") for number in (1, 2) for unit in range(40)}
    fleet.launch(HELD, passes=2, lease_s=SHORT_LEASE_S)
    fleet.wait_for_attempts(4)
    fleet.kill("alpha")
    fleet.resume("alpha")
    fleet.let_go()
    fleet.wait_for_end()
    assert set(fleet.counted().values()) == {1}
    # What the queue counted in alpha's last moment may be missing in its journal.
    assert len(fleet.counted()) >= 80 - 4
    assert set(fleet.started()) == everything
    again = fleet.since_resumed("alpha")
    assert of(again, Counted)
    for name, host in fleet.hosts.items():
        over = [event.pass_number for event in of(host.journal(fleet.specs[name]), PassFinished)]
        assert sorted(over) == [1, 2]
        assert (host.state(fleet.specs[name]).reason, host.state(fleet.specs[name]).fleet_covered) == ("passes", 40)


def test_a_host_that_is_resumed_alone_on_an_empty_queue_gives_no_pass_a_number_that_was_used(
    fleet: QueueFleet,
) -> None:
    fleet.launch("sleep 0.02", units=10, lease_s=SHORT_LEASE_S)
    wait_for(lambda: any(number == 3 for number, _ in fleet.counted()), "a third pass")
    for name in NAMES:
        fleet.kill(name)
    used = max(number for number, _ in fleet.started())
    fleet.server.end()
    fleet.server.start()
    fleet.resume("alpha")
    wait_for(lambda: len(of(fleet.since_resumed("alpha"), PassFinished)) >= 2, "passes of the new queue")
    fleet.hosts["alpha"].stop(fleet.specs["alpha"])
    assert set(fleet.counted().values()) == {1}
    assert min(event.pass_number for event in of(fleet.since_resumed("alpha"), PassFinished)) > min(used, 3)
    assert min(event.pass_number for event in of(fleet.since_resumed("alpha"), Counted)) > 3
    assert any("waits for all hosts" in note for note in fleet.notes("alpha"))


def test_resumed_without_its_passes_or_without_the_client_a_host_makes_its_shard_to_the_end(fleet: QueueFleet) -> None:
    everything = {(1, f"{unit}/40") for unit in range(40)}
    fleet.launch(HELD, passes=1, lease_s=SHORT_LEASE_S)
    fleet.wait_for_attempts(4)
    for name in NAMES:
        fleet.kill(name)
    fleet.let_go()
    before = fleet.counted()
    fleet.server.end()
    fleet.server.start()
    fleet.resume("alpha")
    plain = runner_archive()
    archive = fleet.hosts["bêta"].root / plain.name
    archive.write_bytes(plain.data)
    fleet.resume("bêta", archive)
    fleet.wait_for_end()
    assert set(fleet.started()) == everything
    assert fleet.counted() == before
    assert any("has lost this run's passes: working on its own shard" in note for note in fleet.notes("alpha"))
    reason = "working on its own shard (the client was not sent along: no queue was configured"
    assert any(reason in note for note in fleet.notes("bêta"))
    for name in NAMES:
        events = fleet.hosts[name].journal(fleet.specs[name])
        over = [event.unit for event in finished(events) if event.outcome == "pass"]
        assert len(set(over)) == len(over), "a unit whose attempt was over came again"


def test_a_wrong_password_is_told_without_the_secret_and_the_host_works_on_its_shard(fleet: QueueFleet) -> None:
    wrong = "n0t/the one"
    url = fleet.server.url.replace(fleet.server.url.split("@")[0], "redis://:n0t%2Fthe%20one")
    fleet.launch("true", url=url, units=20, passes=1)
    fleet.wait_for_end()
    assert "pair or user is disabled" in fleet.trouble("alpha")
    assert "working on its own shard" in fleet.trouble("alpha")
    assert {unit for _, unit in fleet.started()} == {f"{number}/20" for number in range(20)}
    assert fleet.counted() == Counter()
    for path in fleet.files():
        text = path.read_bytes().decode("utf-8", "replace")
        assert path.name == "share.json" or not any(one in text for one in (wrong, "n0t%2Fthe", PASSWORD)), path


def test_no_process_shows_the_secret(fleet: QueueFleet) -> None:
    fleet.launch('tr "\\0" "\\n" < /proc/$$/environ; sleep 0.05')
    fleet.wait_for_attempts(5)
    for pid in fleet.pids.values():
        for name in ("cmdline", "environ"):
            shown = Path(f"/proc/{pid}/{name}").read_bytes()
            assert b"s3cret" not in shown
    fleet.stop()
    outputs = [path for path in fleet.files() if path.name != "share.json"]
    assert outputs
    assert all(b"s3cret" not in path.read_bytes() for path in outputs)


def test_a_queue_over_tls_is_trusted_by_its_certificate_only(tmp_path: Path, odd_path: Path) -> None:
    with RedisProcess(tmp_path, tls=True) as server:
        fleet = QueueFleet(odd_path, server)
        try:
            fleet.launch("true", units=30, passes=1)
            fleet.wait_for_end()
            assert fleet.counted() == Counter({(1, f"{number}/30"): 1 for number in range(30)})
            unknown = server.url.split("?")[0]
            fleet.launch("true", url=unknown, units=30, passes=1, run_id="run-2")
            fleet.wait_for_end()
            assert "certificate verify failed" in fleet.trouble("alpha")
        finally:
            for host in fleet.hosts.values():
                host.end_everything()
