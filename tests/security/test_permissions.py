"""Folders on the hosts are 0700 and files 0600, and the runner's archive is checked before each start."""

from __future__ import annotations

import stat
from pathlib import Path

from sltfleet.demo.loopback import LoopbackHost
from tests.faults.campaign import campaign


def test_whatever_the_hosts_umask_nobody_else_can_read_or_change_what_is_there(odd_path: Path) -> None:
    shell = odd_path / "shell"
    shell.write_text('#!/bin/sh\numask 0\nexec /bin/sh "$@"\n')
    shell.chmod(0o700)
    hosts = [LoopbackHost("alpha", login_shell=str(shell))]
    # What a test itself writes gets the umask too.
    with campaign(odd_path, ["echo output; touch made; false"], hosts, suite={"workdir": "per-worker"}) as scene:
        repo = scene.person.cwd / "repo"
        (repo / "folder").mkdir(mode=0o777)
        (repo / "open.txt").write_text("x")
        (repo / "open.txt").chmod(0o666)
        (repo / "tool").write_text("#!/bin/sh\n")
        (repo / "tool").chmod(0o777)
        scene.person.does("sync")
        scene.person.does("run", "--workers", "2", "--passes", "1", "--budget", "300s", code=1)
        project = scene.project_dir("alpha")
        modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in [project, *project.rglob("*")]}
        executable = 0o700
        for path, mode in modes.items():
            if not path.is_symlink():
                assert mode in ((0o700,) if path.is_dir() else (0o600, executable)), (path, oct(mode))
        assert modes[project / "repo" / "tool"] == executable
        assert modes[project / "repo" / "open.txt"] == 0o600
        assert list(project.glob("runs/*/artifacts/*"))
        # And so is what was fetched here.
        scene.person.does("fetch")
        assert stat.S_IMODE((scene.person.cwd / ".sltfleet").stat().st_mode) == 0o700
        here = scene.fetched_dir("alpha")
        for path in [here, *here.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_runner_that_was_changed_on_the_host_is_replaced_and_never_started(odd_path: Path) -> None:
    with campaign(odd_path, ["true"]) as scene:
        scene.person.does("sync")
        scene.person.does("run", "--passes", "1", "--budget", "300s")
        (archive,) = (scene.project_dir("alpha") / "bin").glob("runner-*.pyz")
        original = archive.read_bytes()
        owned = odd_path / "owned"
        for command in (["run", "--passes", "1", "--budget", "300s"], ["stop"]):
            archive.write_text(f"import pathlib\npathlib.Path({str(owned)!r}).touch()\n")
            scene.person.does(*command)
            assert archive.read_bytes() == original
        assert not owned.exists()
