"""Fleets for the end-to-end tests: real sshd, real rsync, real cargo.

The demo crate's dependencies are compiled once for all tests (half a minute), and every host's target folder starts as
a copy of that: what each host still builds itself is the crate.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sltfleet.core.paths import HostPaths
from sltfleet.demo.cache import seed_target
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from sltfleet.demo.project import CRATE, PROJECT, make_project
from tests.support.cargo import session_environment
from tests.support.cli import Person


@pytest.fixture(scope="session")
def warm_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target folder in which the demo crate was built, shared by all processes of this test run."""
    shared = (
        tmp_path_factory.getbasetemp().parent
        if os.environ.get("PYTEST_XDIST_WORKER")
        else tmp_path_factory.getbasetemp()
    )
    target = shared / "warm-target"
    with open(shared / "warm-target.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "done").exists():
            crate = shared / "warm-crate"
            shutil.copytree(CRATE, crate, ignore=shutil.ignore_patterns("target"), dirs_exist_ok=True)
            argv = ["cargo", "test", "--no-run", "--locked", "--quiet", "--manifest-path", str(crate / "Cargo.toml")]
            subprocess.run(argv, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(target)}, timeout=280)
            (target / "done").touch()
    return target


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    """Somebody with an empty home folder, at a terminal in an empty folder."""
    home, cwd = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    cwd.mkdir()
    with Person(cwd, home) as someone:
        yield someone


@pytest.fixture
def demo_fleet(person: Person, warm_target: Path, tmp_path: Path) -> Iterator[Person]:
    """The demo project in the person's folder, on one local host and two over ssh (`alpha`, `beta`)."""
    remote = []
    for alias in ("alpha", "beta"):
        home = tmp_path / f"home of {alias}"
        home.mkdir()
        remote.append(LoopbackHost(alias, home=home, environment=session_environment()))
    with LoopbackFleet(remote, tmp_path / "ssh") as loopback:
        roots = {name: tmp_path / "hosts" / name for name in ("localhost", "alpha", "beta")}
        for root in roots.values():
            seed_target(warm_target, HostPaths(str(root), PROJECT))
        hosts: dict[str, dict[str, object]] = {name: {"root": str(root)} for name, root in roots.items()}
        hosts["localhost"]["transport"] = "local"
        make_project(person.cwd, hosts)
        person.environ["SLTFLEET_SSH_CONFIG"] = str(loopback.ssh_config)
        with stopped_at_the_end(person):
            yield person


@contextmanager
def stopped_at_the_end(person: Person) -> Iterator[None]:
    """End whatever run is still active when the test is over, also when it failed."""
    try:
        yield
    finally:
        person.types("stop")
