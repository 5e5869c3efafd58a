"""fetch against real rsync, over real sshd and locally, with hosts that are honest and hosts that are not."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sltfleet.app.fetch import FetchedRun, FetchResult, NothingThere, fetch
from sltfleet.app.fleet import Fleet, open_fleet
from sltfleet.app.progress import ProgressEvent, Warned
from sltfleet.app.report import gather_report
from sltfleet.app.runs import RunRecord, save_run
from sltfleet.config.load import load_config
from sltfleet.core.errors import CommandTimeout, HostError, RunError, UsageError
from sltfleet.core.fetching import FetchLimits
from sltfleet.core.shell import Script
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from sltfleet.transport.base import CommandResult, LineSink, RsyncEndpoint
from sltfleet.wire.events import Note, event_to_line
from tests.support.hosts import write_fleet_yaml
from tests.support.journals import LATER_RUN_ID, RUN_ID, JournalBuilder
from tests.support.waiting import wait_for

SUITES = {"slt": {"build": {"test": "slt"}, "units": {"kind": "files", "root": "t"}}}


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    folder = tmp_path_factory.mktemp("fetch")
    with LoopbackFleet([LoopbackHost("remote", home=tmp_path_factory.mktemp("home"))], folder / "fleet") as running:
        yield running


@dataclass
class Scene:
    """A fleet of a local host and one over ssh, and what lies on them."""

    fleet: Fleet
    folder: Path
    events: list[ProgressEvent] = field(default_factory=list)

    def project(self, host: str) -> Path:
        return self.folder / f"root of {host}" / "sample"

    def run_folder(self, host: str, run_id: str = RUN_ID) -> Path:
        return self.project(host) / "runs" / run_id

    def put_run(self, host: str, run_id: str = RUN_ID, *, journal: JournalBuilder | None = None) -> Path:
        """Put a run as a runner leaves it onto a host, with all that is not to be fetched, and return its folder."""
        folder = self.run_folder(host, run_id)
        (folder / "artifacts" / "last").mkdir(parents=True)
        (folder / "tree" / "src").mkdir(parents=True)
        (folder / "tree" / "src" / "secret.rs").write_text("fn main() {}")
        (folder / "workers" / "0").mkdir(parents=True)
        for name in ("spec.json", "state.json", "runner.log", "identity"):
            (folder / name).write_text(f"{name} of {host}")
        (folder / "artifacts" / "attempt-2.out").write_text("assertion failed\n")
        (folder / "artifacts" / "last" / "a.test-0123.out").write_text("ok\n")
        filled = journal or JournalBuilder(run_id=run_id, host=host).attempt(0, "a.test", 0, 5).finish(100)
        (folder / "journal.jsonl").write_bytes(filled.data)
        (self.project(host) / "current").write_text(run_id + "\n")
        return folder

    def fetch(self, run_id: str | None = None, limits: FetchLimits | None = None) -> FetchResult:
        return fetch(self.fleet, run_id, self.events.append, limits=limits)

    def fetched(self, host: str, run_id: str = RUN_ID) -> Path:
        return self.fleet.paths.host(run_id, host)

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Warned)]

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(event.host, event.text, event.fix) for event in self.events if isinstance(event, Warned)]


@pytest.fixture
def scene(odd_path: Path, loopback: LoopbackFleet) -> Iterator[Scene]:
    hosts = {
        "here": {"transport": "local", "root": str(odd_path / "root of here")},
        "remote": {"root": str(odd_path / "root of remote")},
    }
    path = write_fleet_yaml(odd_path, hosts=hosts, suites=SUITES, ssh_config=loopback.ssh_config)
    loaded = load_config(path, ssh_config=None, environ={}, cwd=odd_path)
    with open_fleet(loaded, ("here", "remote")) as fleet:
        yield Scene(fleet, odd_path)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, and its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def grow(journal: Path, text: str) -> None:
    """Append to a journal as a runner does, half a line included."""
    with journal.open("ab") as file:
        file.write(event_to_line(Note(50, text)) + b'{"kind":"no')


def test_what_the_runner_wrote_is_fetched_from_every_host_and_nothing_else(scene: Scene) -> None:
    for host in ("here", "remote"):
        scene.put_run(host)
    result = scene.fetch()
    assert (result.run_id, result.hosts.errors) == (RUN_ID, {})
    for host in ("here", "remote"):
        part = result.hosts.values[host]
        assert isinstance(part, FetchedRun)
        expected = {k: v for k, v in tree(scene.run_folder(host)).items() if not k.startswith(("tree", "workers"))}
        assert tree(scene.fetched(host)) == expected
        assert (part.files, part.removed) == (7, 0)
        assert stat.S_IMODE((part.folder / "journal.jsonl").stat().st_mode) == 0o600
        assert stat.S_IMODE(part.folder.stat().st_mode) == 0o700
    assert gather_report(scene.fleet.paths).summary.attempts == 2


def test_fetching_again_brings_what_is_new_and_keeps_what_is_gone_on_the_host(scene: Scene) -> None:
    folder = scene.put_run("remote")
    scene.put_run("here")
    first = scene.fetch()
    (folder / "artifacts" / "attempt-2.out").unlink()
    grow(folder / "journal.jsonl", "grown")
    second = scene.fetch(RUN_ID)
    assert [first.imported["remote"].events, second.imported["remote"].events] == [7 - 1, 1]
    assert second.imported["here"].events == 0
    assert (scene.fetched("remote") / "journal.jsonl").read_bytes() == (folder / "journal.jsonl").read_bytes()
    assert (scene.fetched("remote") / "artifacts" / "attempt-2.out").exists()
    assert gather_report(scene.fleet.paths, RUN_ID).hosts[1].notes == ("grown",)


def test_of_a_large_journal_only_the_growth_crosses_the_network(scene: Scene) -> None:
    journal = JournalBuilder(host="remote")
    for number in range(20_000):
        journal.attempt(0, "a.test", number / 1000, number / 1000 + 0.001, message=os.urandom(16).hex())
    folder = scene.put_run("remote", journal=journal)
    scene.put_run("here")
    scene.fetch()
    grow(folder / "journal.jsonl", "grown")
    part = scene.fetch().hosts.values["remote"]
    assert isinstance(part, FetchedRun)
    assert part.size_bytes > 8_000_000
    assert part.received_bytes < 200_000


def test_a_run_can_be_fetched_while_its_journal_is_being_written(scene: Scene) -> None:
    folder = scene.put_run("here")
    scene.put_run("remote")
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, os\n"
            "while True:\n"
            "    with open(sys.argv[1], 'ab') as file: file.write(sys.argv[3].encode() * 50); file.write(b'{')\n"
            "    os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) - 1)\n"
            "    time.sleep(0.01)\n"
            "    open(sys.argv[2] + '.new', 'w').write('x' * 5000); os.rename(sys.argv[2] + '.new', sys.argv[2])\n",
            str(folder / "journal.jsonl"),
            str(folder / "state.json"),
            event_to_line(Note(1, "busy")).decode(),
        ]
    )
    before = (folder / "journal.jsonl").stat().st_size
    try:
        wait_for(lambda: (folder / "journal.jsonl").stat().st_size > before, "a writer at work")
        counts = [scene.fetch(RUN_ID).imported["here"].events for _ in range(5)]
    finally:
        writer.kill()
        writer.wait()
    assert scene.warnings == []
    assert sum(counts) > 6
    assert scene.fetch(RUN_ID).imported["here"].damage == ""


def test_the_newest_run_of_all_hosts_is_the_result_and_older_ones_are_fetched_as_well(scene: Scene) -> None:
    scene.put_run("here", RUN_ID)
    scene.put_run("remote", LATER_RUN_ID)
    result = scene.fetch()
    assert result.run_id == LATER_RUN_ID
    assert scene.fetched("here", RUN_ID).is_dir()


def test_a_host_whose_newest_run_is_another_one_is_named_with_what_shows_it(scene: Scene) -> None:
    scene.put_run("here", LATER_RUN_ID)
    scene.put_run("remote")
    assert scene.fetch().run_id == LATER_RUN_ID
    assert scene.told == [
        ("remote", f"it had run {RUN_ID}, which is not in the tables of {LATER_RUN_ID}", f"sltfleet report {RUN_ID}")
    ]


def test_a_host_that_the_run_was_started_on_and_was_not_asked_is_named(scene: Scene) -> None:
    record = RunRecord(RUN_ID, "sample", "slt", ("here", "remote", "third"), {}, 1.0, 30.0, 1, "", "")
    save_run(scene.fleet.paths, record)
    scene.put_run("here")
    (host,) = (host for host in scene.fleet.hosts if host.name == "here")
    fetch(replace(scene.fleet, hosts=(host,)), None, scene.events.append)
    ((_, text, fix),) = scene.told
    assert "remote, third" in text
    assert fix == f"sltfleet fetch --run {RUN_ID}"


def test_a_host_without_the_run_is_no_error(scene: Scene) -> None:
    scene.put_run("remote")
    result = scene.fetch(RUN_ID)
    assert result.hosts.values["here"] == NothingThere()
    assert result.hosts.errors == {}


@pytest.mark.parametrize("run_id", [None, RUN_ID])
def test_where_no_host_has_a_run_there_is_nothing_to_fetch(scene: Scene, run_id: str | None) -> None:
    with pytest.raises(RunError, match="no host has"):
        scene.fetch(run_id)


def test_what_is_no_run_id_is_refused_before_any_host_is_asked(scene: Scene) -> None:
    with pytest.raises(UsageError, match="no run id"):
        scene.fetch("../../etc")


def test_a_failing_host_does_not_keep_the_others_from_being_fetched(scene: Scene) -> None:
    scene.put_run("here")
    scene.put_run("remote")
    (scene.run_folder("remote") / "journal.jsonl").unlink()
    result = scene.fetch()
    assert result.run_id == RUN_ID
    assert "no journal" in str(result.hosts.errors["remote"])
    assert list(result.imported) == ["here"]


def test_a_damaged_journal_is_imported_up_to_the_damage_and_told(scene: Scene) -> None:
    scene.put_run("here")
    with (scene.run_folder("here") / "journal.jsonl").open("ab") as file:
        file.write(b"garbage\n")
    result = scene.fetch(RUN_ID)
    assert result.imported["here"].events == 6
    assert "cannot be read beyond byte" in scene.warnings[0]


def make_hostile(folder: Path, outside: Path) -> None:
    """Put into a run's folder whatever might do harm here."""
    artifacts = folder / "artifacts"
    (artifacts / "link to a file").symlink_to(outside)
    (artifacts / "link to a folder").symlink_to(outside.parent)
    (artifacts / "dangling").symlink_to("../../../../../../etc/nowhere")
    os.mkfifo(artifacts / "fifo")
    (artifacts / "evil\nname\x1b[31m").write_text("x")
    (artifacts / "evil\u202efolder").mkdir()
    (artifacts / "evil\u202efolder" / "inner").write_text("x")
    (artifacts / os.fsdecode(b"not \xff unicode")).write_text("x")
    (artifacts / "-rf").write_text("x")
    deep = artifacts.joinpath(*["deep"] * 12)
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    setuid = artifacts / "setuid"
    setuid.write_text("#!/bin/sh\n")
    setuid.chmod(0o6777)
    with (artifacts / "sparse").open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("host", ["here", "remote"])
def test_of_a_hostile_folder_only_plain_files_with_plain_names_arrive(scene: Scene, host: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    make_hostile(scene.put_run(host), outside)
    limits = FetchLimits(total_bytes=2 << 40, file_bytes=1 << 20)
    scene.fleet = replace(scene.fleet, hosts=tuple(h for h in scene.fleet.hosts if h.name == host))
    (scene.run_folder(host) / "artifacts" / "sparse").unlink()
    big = scene.run_folder(host) / "artifacts" / "big"
    with big.open("wb") as file:
        file.truncate(2 << 20)
    result = scene.fetch(limits=limits)
    assert result.hosts.errors == {}
    folder = scene.fetched(host)
    found = list(folder.rglob("*"))
    assert all(not path.is_symlink() and (path.is_file() or path.is_dir()) for path in found)
    assert sorted(path.name for path in (folder / "artifacts").iterdir()) == ["attempt-2.out", "deep", "last", "setuid"]
    assert stat.S_IMODE((folder / "artifacts" / "setuid").stat().st_mode) == 0o600
    assert not any(path.name == "file" for path in found)
    assert outside.read_text() == "untouched"
    part = result.hosts.values[host]
    assert isinstance(part, FetchedRun)
    assert part.removed == 5
    assert "5 entries" in scene.warnings[0]


def test_a_run_of_a_terabyte_is_refused_before_anything_is_fetched(scene: Scene, tmp_path: Path) -> None:
    make_hostile(scene.put_run("remote"), tmp_path / "outside")
    error = scene.fetch(RUN_ID).hosts.errors["remote"]
    assert "1.0 TiB" in str(error)
    assert not scene.fetched("remote").exists()


def test_a_run_of_too_many_files_is_refused(scene: Scene) -> None:
    scene.put_run("here")
    result = scene.fetch(RUN_ID, FetchLimits(files=3))
    assert "7 files, more than 3" in str(result.hosts.errors["here"])


class FakeTransport:
    """Answers the question with a fixed text, and gives rsync another remote shell."""

    host = "remote"

    def __init__(self, answer: str, rsh: tuple[str, ...] = ("false",)) -> None:
        self._answer = answer
        self._rsh = rsh

    def run(self, script: Script, *, timeout_s: float, on_line: LineSink | None = None) -> CommandResult:
        return CommandResult(0, self._answer, "", "", 0.0)

    def rsync_endpoint(self) -> RsyncEndpoint:
        return RsyncEndpoint("evil:", self._rsh)

    def close(self) -> None:
        pass


def with_transport(scene: Scene, transport: FakeTransport) -> None:
    (host,) = (host for host in scene.fleet.hosts if host.name == "remote")
    scene.fleet = replace(scene.fleet, hosts=(replace(host, transport=transport),))


@pytest.mark.parametrize(
    "run_id", ["../../../../tmp/evil", "..", "/etc", f"{RUN_ID}/..", f"{RUN_ID}\x1b[2J", LATER_RUN_ID, "-rf"]
)
def test_a_host_cannot_choose_where_its_files_go(scene: Scene, run_id: str) -> None:
    with_transport(scene, FakeTransport(f"run {run_id}\nrsync\nfiles 1 1\npath /tmp\n"))
    error = scene.fetch(RUN_ID).hosts.errors["remote"]
    assert isinstance(error, HostError)
    assert "names a run that is none" in error.what
    assert not scene.fleet.paths.runs.exists()


def test_a_host_without_rsync_is_told_how_to_get_it(scene: Scene) -> None:
    with_transport(scene, FakeTransport(f"run {RUN_ID}\nfiles 1 1\npath /tmp\n"))
    assert "sltfleet setup" in scene.fetch().hosts.errors["remote"].fix


def evil_shell(folder: Path, body: str) -> tuple[str, ...]:
    """A remote shell for rsync: it gets the server's command line after the host's name."""
    script = folder / "evil-ssh.py"
    script.write_text("import os, signal, subprocess, sys\nserver = sys.argv[2:]\n" + textwrap.dedent(body))
    return (sys.executable, str(script))


PASS_ON = """
    signal.signal(signal.SIGCHLD, lambda *_: os._exit(0))
    child = subprocess.Popen(server, stdin=subprocess.PIPE)
    while data := os.read(0, 65536):
        for old, new in REPLACED:
            data = data.replace(old, new)
        child.stdin.write(data)
        child.stdin.flush()
"""


def test_a_sender_that_ignores_what_was_asked_for_is_refused(scene: Scene, tmp_path: Path) -> None:
    folder = scene.put_run("remote")
    (folder / ".bashrc").write_text("echo owned")
    rsh = evil_shell(tmp_path, 'REPLACED = [(b"- *", b"+ *")]\n' + textwrap.dedent(PASS_ON))
    with_transport(scene, FakeTransport(f"run {RUN_ID}\nrsync\nfiles 1 1\npath {folder}\n", rsh))
    error = scene.fetch().hosts.errors["remote"]
    assert "files that were not asked for" in error.what
    assert not scene.fetched("remote").joinpath(".bashrc").exists()
    assert not scene.fetched("remote").joinpath("tree").exists()


def test_a_sender_that_sends_links_all_the_same_gets_none_of_them_here(scene: Scene, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    folder = scene.put_run("remote")
    (folder / "artifacts" / "link").symlink_to(outside)
    # `server` is rsync --server --sender -str…: the real sender is told to send links.
    body = 'server[3] = "-l" + server[3][1:]\nREPLACED = []\n' + textwrap.dedent(PASS_ON)
    rsh = evil_shell(tmp_path, body)
    with_transport(scene, FakeTransport(f"run {RUN_ID}\nrsync\nfiles 1 1\npath {folder}\n", rsh))
    scene.fetch()
    assert not any(path.is_symlink() for path in scene.fleet.paths.runs.rglob("*"))
    assert outside.read_text() == "untouched"


def test_a_remote_shell_that_never_ends_is_ended(scene: Scene, tmp_path: Path) -> None:
    folder = scene.put_run("remote")
    rsh = evil_shell(tmp_path, "subprocess.run(server)\nimport time\ntime.sleep(1000)\n")
    with_transport(scene, FakeTransport(f"run {RUN_ID}\nrsync\nfiles 1 1\npath {folder}\n", rsh))
    error = fetch(scene.fleet, RUN_ID, scene.events.append, timeout_s=3).hosts.errors["remote"]
    assert isinstance(error, CommandTimeout)


def test_a_host_that_sends_more_than_it_offered_is_cut_off(scene: Scene) -> None:
    folder = scene.put_run("here")
    (folder / "artifacts" / "more").write_bytes(os.urandom(5_000_000))
    transport = FakeTransport(f"run {RUN_ID}\nrsync\nfiles 1 1\npath {folder}\n")
    transport.rsync_endpoint = lambda: RsyncEndpoint("", None)  # type: ignore[method-assign]
    with_transport(scene, transport)
    error = scene.fetch(RUN_ID, FetchLimits(total_bytes=1_000_000)).hosts.errors["remote"]
    assert "sends more than it has" in error.what
