"""Hosts for tests: real sshd processes on 127.0.0.0/8, a real ssh-agent, and a fleet.yaml that names them.

Use it by `pytest_plugins = ["tests.support.hosts"]` in a folder's conftest.py, or import what is needed. Every
process has its own fleet, so tests may run side by side. No host's home folder is the person's own; cargo's caches
are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from tests.support.cargo import session_environment
from tests.support.waiting import wait_for

#: What the login shell of the host `noisy` prints; its last line is left open on purpose.
NOISE = "Welcome to noisy!\n*** the system is going down for tea ***\nlast line without its end"


@pytest.fixture(scope="session")
def loopback_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    """Three hosts: `alpha` and `beta` are plain, the login shell of `noisy` prints NOISE. Each has its own home."""
    folder = tmp_path_factory.mktemp("loopback")
    hosts = []
    for alias in ("alpha", "beta", "noisy"):
        home = folder / f"home of {alias}"
        home.mkdir()
        noise = NOISE if alias == "noisy" else ""
        hosts.append(LoopbackHost(alias, home=home, environment=session_environment(), login_noise=noise))
    with LoopbackFleet(hosts, folder / "fleet") as fleet:
        yield fleet


def home_of(fleet: LoopbackFleet, alias: str) -> Path:
    """Return the home folder on a host of the fixture `loopback_fleet`."""
    return fleet.folder.parent / f"home of {alias}"


def write_fleet_yaml(
    folder: Path,
    *,
    hosts: Mapping[str, Mapping[str, object]],
    suites: Mapping[str, Mapping[str, object]],
    ssh_config: Path | None = None,
    project: str = "sample",
    repo: str = ".",
    **more: object,
) -> Path:
    """Write `folder`/fleet.yaml and return its path; `more` are further top-level keys."""
    content: dict[str, object] = {"project": project, "repo": repo, "hosts": hosts, "suites": suites, **more}
    if ssh_config:
        content["ssh_config"] = str(ssh_config)
    path = folder / "fleet.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path


@contextlib.contextmanager
def ssh_agent(*keys: Path) -> Iterator[Path]:
    """Give the socket of a real ssh-agent that holds `keys` (without passphrases)."""
    # A socket's path may have 107 characters, which pytest's folders exceed.
    folder = Path(tempfile.mkdtemp(prefix="agent-"))
    path = folder / "socket"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        wait_for(path.exists)
        for key in keys:
            environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
            subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, capture_output=True)
        yield path
    finally:
        agent.terminate()
        agent.wait()
        shutil.rmtree(folder)


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Make a key pair at `path` and return it."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True, capture_output=True)
    return path
