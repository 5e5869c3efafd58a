"""The transfer of a sync to one host: rsync in one round or two, so that nothing is deleted where too much would be.

What comes before and after it, the markers and the record, is `app.sync`'s part.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from sltfleet.app.fleet import Host
from sltfleet.app.progress import Listener, TransferProgress
from sltfleet.core.errors import FleetError, HostError
from sltfleet.core.origin import Origin
from sltfleet.core.project_dir import ProjectDir
from sltfleet.core.revision import Revision
from sltfleet.core.rsync import Progress, skipped_deletions, sync_argv
from sltfleet.core.rsync_failures import sync_failure, too_many_deletions
from sltfleet.transport.rsync import RsyncResult, run_rsync

_NO_DELETIONS = 0
#: Exit codes of a first round that only says that deletions are due: with them, a folder may be in the way of a file
#: (23).
_DELETIONS_DUE = (23, 25)


@dataclass(frozen=True)
class SyncJob:
    """What is the same for all hosts."""

    repo: Path
    rules_file: str
    max_delete: int
    revision: Revision
    origin: Origin
    take_over: bool
    stop: threading.Event
    listener: Listener
    quiet_limit_s: int
    timeout_s: float
    silent_limit_s: float


def transfer_and_delete(host: Host, job: SyncJob, place: ProjectDir, *, first: bool) -> RsyncResult:
    """Send everything, then delete, if that is little enough.

    rsync's own limit deletes as many as are allowed and then stops. So the first round allows none and tells how many
    are due; most often that is none, and the round is all there is. `first`: the host has nothing yet. Raises
    SyncError and HostError.
    """
    sent = _transfer(host, job, place, max_delete=_NO_DELETIONS, first=first, allowed=_DELETIONS_DUE)
    due = skipped_deletions(sent.stderr)
    if sent.exit_code == 0:
        return sent
    if due == 0:
        raise _failure(sent, job, place)
    if due > job.max_delete:
        names = plan(host, job, place).reader.deleted_names
        raise too_many_deletions(due, job.max_delete, names=tuple(names[:10]))
    deleted = _transfer(host, job, place, max_delete=job.max_delete, first=False)
    deleted.reader.add(sent.reader)
    return deleted


def plan(host: Host, job: SyncJob, place: ProjectDir) -> RsyncResult:
    """Return what a transfer would do, deletions without a limit included. Raises as `transfer_and_delete` does."""
    return _transfer(host, job, place, max_delete=None, first=False, dry_run=True)


def _transfer(
    host: Host,
    job: SyncJob,
    place: ProjectDir,
    *,
    max_delete: int | None,
    first: bool,
    dry_run: bool = False,
    allowed: tuple[int, ...] = (),
) -> RsyncResult:
    endpoint = host.transport.rsync_endpoint()
    argv = sync_argv(
        os.fspath(job.repo),
        endpoint.prefix + place.repo,
        rules_file=job.rules_file,
        max_delete=max_delete,
        rsh=endpoint.rsh,
        dry_run=dry_run,
        quiet_limit_s=job.quiet_limit_s,
    )

    def tell(progress: Progress) -> None:
        # The percentage is of all files' bytes, sent or not: it says how far this is only where all are sent.
        share = progress.percent / 100 if first else progress.looked_at
        job.listener(TransferProgress(host.name, progress.done_bytes, share, progress.rate_bytes_per_s))

    result = run_rsync(
        argv, timeout_s=job.timeout_s, stop=job.stop, on_progress=tell, silent_limit_s=job.silent_limit_s
    )
    if result.exit_code != 0 and result.exit_code not in allowed:
        raise _failure(result, job, place)
    return result


def _failure(result: RsyncResult, job: SyncJob, place: ProjectDir) -> FleetError:
    if result.exit_code < 0:
        return HostError("rsync was ended", f"by signal {-result.exit_code}", "run `sltfleet sync` again")
    return sync_failure(
        result.exit_code, result.stderr, mount=place.mount, free_bytes=place.free_bytes, max_delete=job.max_delete
    )
