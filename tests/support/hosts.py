"""What tests with hosts need: a login shell's noise, a real ssh-agent, a fleet.yaml that names the hosts."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from tests.support.waiting import wait_for

#: What the login shell of the host `noisy` prints; its last line is left open on purpose.
NOISE = "Welcome to noisy!\n*** the system is going down for tea ***\nlast line without its end"


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
