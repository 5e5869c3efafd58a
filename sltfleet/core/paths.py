"""Where a project lies on a host, and where the controller keeps what it knows.

`HostPaths` is the project's folder on a host: text for that host, possibly with a leading `~/` that only the host can
resolve (see `core.shell.ROOT_PRELUDE`); what lies in it is named by the scripts, which work there. `LocalPaths` is what
the controller keeps beside fleet.yaml.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

#: Below it, on a host, lie the projects' folders.
DEFAULT_ROOT = "~/.sltfleet"

#: Marks a project's folder on a host: without it nothing is ever deleted there. Its content is the project's name.
MARKER_NAME = ".sltfleet-project"

#: In the project's folder while a sync is under way, and left there by one that was interrupted.
SYNC_INCOMPLETE_NAME = "sync.incomplete"

#: What the last whole sync brought: JSON, see `core.syncing.SyncRecord`.
SYNC_RECORD_NAME = "sync.json"


@dataclass(frozen=True)
class HostPaths:
    """The paths of one project on one host."""

    root: str
    project: str

    @property
    def project_dir(self) -> str:
        """The project's folder."""
        return posixpath.join(self.root, self.project)

    @property
    def target(self) -> str:
        """CARGO_TARGET_DIR."""
        return posixpath.join(self.project_dir, "target")

    def canary(self, run_id: str) -> HostPaths:
        """A folder like a project's own, for one run of the canaries: with a lock and a `current` of its own."""
        return HostPaths(posixpath.join(self.project_dir, "canary"), run_id)


@dataclass(frozen=True)
class LocalPaths:
    """What the controller keeps, in `.sltfleet/` beside fleet.yaml."""

    fleet_dir: Path

    @property
    def state_dir(self) -> Path:
        """The folder of it all."""
        return self.fleet_dir / ".sltfleet"

    @property
    def runs(self) -> Path:
        """The fetched runs."""
        return self.state_dir / "runs"

    def run(self, run_id: str) -> Path:
        """One fetched run: a folder per host, and `run.json`."""
        return self.runs / run_id

    def run_record(self, run_id: str) -> Path:
        """What the controller knows of a run since it started it."""
        return self.run(run_id) / "run.json"

    def host(self, run_id: str, host: str) -> Path:
        """What was fetched of one run from one host."""
        return self.run(run_id) / host

    @property
    def database(self) -> Path:
        """The results: can be rebuilt from the journals at any time."""
        return self.state_dir / "results.sqlite"
