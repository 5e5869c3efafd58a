"""A fleet of hosts on this machine, each with a root of its own, and a listener that keeps all events."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sltfleet.app.fleet import Fleet, open_fleet
from sltfleet.app.progress import ProgressEvent
from sltfleet.config.load import load_config
from tests.support.hosts import write_fleet_yaml

SUITES: Mapping[str, Mapping[str, object]] = {
    "tiny": {"build": {"test": "it"}, "units": {"kind": "partitions", "count": 2}}
}


@dataclass
class Recorder:
    """A listener: events come from several threads."""

    events: list[ProgressEvent] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: ProgressEvent) -> None:
        with self._lock:
            self.events.append(event)


def local_hosts(folder: Path, *names: str) -> dict[str, dict[str, object]]:
    """Return the `hosts` of a fleet.yaml: hosts on this machine, with their roots below `folder`."""
    return {name: {"transport": "local", "root": str(folder / f"root of {name}")} for name in names}


@contextlib.contextmanager
def opened(
    folder: Path,
    hosts: Mapping[str, Mapping[str, object]],
    *,
    suites: Mapping[str, Mapping[str, object]] = SUITES,
    ssh_config: Path | None = None,
    sync: Mapping[str, object] | None = None,
) -> Iterator[Fleet]:
    """Give the fleet of all `hosts`, whose repo is `folder`/repo; `sync` is the key of that name in fleet.yaml."""
    (folder / "repo").mkdir(exist_ok=True)
    path = write_fleet_yaml(folder, hosts=hosts, suites=suites, ssh_config=ssh_config, repo="repo", sync=sync or {})
    loaded = load_config(path, ssh_config=None, environ={}, cwd=folder)
    with open_fleet(loaded, tuple(hosts)) as fleet:
        yield fleet
