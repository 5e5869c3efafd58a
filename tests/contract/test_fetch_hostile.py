"""fetch against hosts that are not as they should be: their folders, their answers, their rsync."""

from __future__ import annotations

import os
import stat
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app.fetch import FetchedRun, fetch
from sltfleet.core.errors import CommandTimeout, HostError
from sltfleet.core.fetching import FetchLimits
from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult, LineSink, RsyncEndpoint
from tests.contract.fetch_scene import Scene
from tests.support.journals import LATER_RUN_ID, RUN_ID


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
