"""A repo in a folder, local hosts beside it, and what a sync of it left there."""

from __future__ import annotations

from pathlib import Path

from sltfleet.app.fleet import HostResults
from sltfleet.app.progress import silent
from sltfleet.app.sync import sync
from sltfleet.core.errors import FleetError
from sltfleet.core.paths import SYNC_RECORD_NAME
from sltfleet.core.syncing import SyncedHost, SyncRecord, record_from_json
from tests.support.fleets import local_hosts, opened


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def sync_local(folder: Path, *names: str, max_delete: int = 1000) -> HostResults[SyncedHost]:
    hosts = local_hosts(folder, *(names or ("one",)))
    with opened(folder, hosts, sync={"max_delete": max_delete}) as fleet:
        return sync(fleet, silent)


def host_dir(folder: Path, name: str = "one") -> Path:
    return folder / f"root of {name}" / "sample"


def record_of(folder: Path, name: str = "one") -> SyncRecord | None:
    """The record that the last whole sync left on a host."""
    return record_from_json((host_dir(folder, name) / SYNC_RECORD_NAME).read_text())


def error_of(results: HostResults[SyncedHost], name: str = "one") -> FleetError:
    assert name in results.errors, results
    return results.errors[name]
