"""`sync`: brings the repo to every host, side by side, so that a host has either the whole of it or a marker that
says it has not.

What is sent is decided once, on the controller; docs/decisions/003-what-is-synced.md tells how.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sltfleet import __version__
from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener, TransferProgress
from sltfleet.app.revision import read_revision
from sltfleet.core.errors import FleetError, HostError, SyncError
from sltfleet.core.project_dir import ProjectDir, look_script, parse_project_dir, prepare_failure, prepare_script
from sltfleet.core.revision import Revision
from sltfleet.core.rsync import QUIET_LIMIT_S, Progress, Stats, filter_rules, skipped_deletions, sync_argv
from sltfleet.core.rsync_failures import no_rsync_there, sync_failure, too_many_deletions
from sltfleet.core.syncing import (
    SyncRecord,
    incomplete_note,
    next_content_id,
    parse_whole_sync,
    record_from_json,
    record_script,
    whole_sync_script,
)
from sltfleet.transport.rsync import RsyncResult, run_rsync
from sltfleet.transport.worktree import check_patterns, select_files

#: Scripts that only look or write a small file; connecting included.
SCRIPT_TIMEOUT_S = 60.0
#: A transfer that goes on for longer is ended; one that stands still is ended much sooner, by rsync itself.
TRANSFER_TIMEOUT_S = 12 * 3600.0

_NO_DELETIONS = 0
#: Exit codes of a first round that only says that deletions are due: with them, a folder may be in the way of a file
#: (23).
_DELETIONS_DUE = (23, 25)


@dataclass(frozen=True)
class Planned:
    """What a dry run found: how many would be sent and deleted, and the first of the names."""

    sent: int
    sent_names: tuple[str, ...]
    deleted: int
    deleted_names: tuple[str, ...]


@dataclass(frozen=True)
class SyncedHost:
    """What a sync did on one host. `record` and `planned`: exactly one of them is there, `planned` for a dry run.

    `repo` is the synced repository, absolute on that host; sizes are bytes, `speedup` is rsync's own: all bytes /
    bytes sent and received.
    """

    host: str
    project_root: str
    repo: str
    files: int
    total_bytes: int
    transferred: int
    deleted: int
    sent_bytes: int
    speedup: float
    duration_s: float
    record: SyncRecord | None = None
    planned: Planned | None = None


@dataclass(frozen=True)
class _Job:
    """What is the same for all hosts."""

    repo: Path
    rules_file: str
    max_delete: int
    revision: Revision
    dry_run: bool
    stop: threading.Event
    listener: Listener
    quiet_limit_s: int
    timeout_s: float


def sync(
    fleet: Fleet,
    listener: Listener,
    *,
    dry_run: bool = False,
    quiet_limit_s: int = QUIET_LIMIT_S,
    timeout_s: float = TRANSFER_TIMEOUT_S,
) -> HostResults[SyncedHost]:
    """Bring the repo to all hosts of the fleet. With `dry_run` nothing is written anywhere.

    Raises SyncError for what is wrong on this side already (git, a submodule without content); what goes wrong on a
    host is that host's error. When it is left by an exception, KeyboardInterrupt say, the running transfers are
    ended.
    """
    config = fleet.loaded.config.sync
    repo = fleet.loaded.repo
    include, exclude = check_patterns("sync.include", config.include), check_patterns("sync.exclude", config.exclude)
    selection = select_files(repo, gitignore=config.gitignore, include=config.include, exclude=config.exclude)
    stop = threading.Event()
    with _rules_file(filter_rules(selection, include, exclude)) as rules_file:
        job = _Job(
            repo=repo,
            rules_file=rules_file,
            max_delete=config.max_delete,
            revision=read_revision(repo),
            dry_run=dry_run,
            stop=stop,
            listener=listener,
            quiet_limit_s=quiet_limit_s,
            timeout_s=timeout_s,
        )
        try:
            return fleet.each_host("syncing", lambda host: _sync_host(host, job), listener)
        finally:
            stop.set()


def require_whole_sync(host: Host) -> SyncRecord:
    """Return the record of the host's last sync. Raises SyncError where there was none or it was interrupted,
    HostError.
    """
    answer = host.transport.run(whole_sync_script(host.paths), timeout_s=SCRIPT_TIMEOUT_S)
    return parse_whole_sync(answer.exit_code, answer.stdout, answer.stderr)


@contextlib.contextmanager
def _rules_file(rules: str) -> Iterator[str]:
    # A name of plain characters: rsync takes the rest of its `--filter` word literally, but not a line break.
    with tempfile.NamedTemporaryFile(prefix="sltfleet-rules-") as file:
        file.write(os.fsencode(rules))
        file.flush()
        yield file.name


def _sync_host(host: Host, job: _Job) -> tuple[SyncedHost, str]:
    started_s = time.monotonic()
    place = _prepare(host, job)
    if not place.rsync:
        raise no_rsync_there()
    before = record_from_json(place.record)
    if job.dry_run:
        result = _transfer(host, job, place, max_delete=None, first=before is None)
    else:
        result = _transfer_and_delete(host, job, place, first=before is None)
    stats = result.reader.stats
    if stats is None:
        raise SyncError(
            "rsync's closing numbers are missing", "it printed something else", detail=result.stderr[-2000:]
        )
    if job.dry_run:
        return _describe(host, place, result, stats, started_s, planned=_planned(result))
    record = SyncRecord(
        content_id=next_content_id(
            before,
            interrupted=place.interrupted,
            changed=bool(result.reader.changed or result.reader.deleted),
            fresh_id=uuid.uuid4().hex,
        ),
        commit=job.revision.commit,
        dirty_digest=job.revision.dirty_digest,
        files=stats.files,
        total_bytes=stats.total_bytes,
        finished_wall_s=time.time(),
        sltfleet_version=__version__,
    )
    answer = host.transport.run(
        record_script(host.paths, record, tuple(result.reader.links)), timeout_s=SCRIPT_TIMEOUT_S
    )
    if answer.exit_code != 0:
        raise SyncError("the end of the sync could not be recorded", answer.stderr.strip()[-500:])
    return _describe(host, place, result, stats, started_s, record=record)


def _prepare(host: Host, job: _Job) -> ProjectDir:
    if job.dry_run:
        script = look_script(host.paths)
    else:
        note = incomplete_note(time.time(), job.revision.commit, job.revision.dirty_digest)
        script = prepare_script(host.paths, note)
    answer = host.transport.run(script, timeout_s=SCRIPT_TIMEOUT_S)
    if answer.exit_code != 0:
        raise prepare_failure(host.paths, answer.exit_code, answer.stderr)
    return parse_project_dir(answer.stdout)


def _transfer_and_delete(host: Host, job: _Job, place: ProjectDir, *, first: bool) -> RsyncResult:
    """Send everything, then delete, if that is little enough.

    rsync's own limit deletes as many as are allowed and then stops. So the first round allows none and tells how many
    are due; most often that is none, and the round is all there is.
    """
    sent = _transfer(host, job, place, max_delete=_NO_DELETIONS, first=first, allowed=_DELETIONS_DUE)
    due = skipped_deletions(sent.stderr)
    if sent.exit_code == 0:
        return sent
    if due == 0:
        raise _failure(sent, job, place)
    if due > job.max_delete:
        names = _transfer(host, job, place, max_delete=None, first=False, dry_run=True).reader.deleted_names
        raise too_many_deletions(due, job.max_delete, names=tuple(names[:10]))
    deleted = _transfer(host, job, place, max_delete=job.max_delete, first=False)
    deleted.reader.add(sent.reader)
    return deleted


def _transfer(
    host: Host,
    job: _Job,
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
        dry_run=dry_run or job.dry_run,
        quiet_limit_s=job.quiet_limit_s,
    )

    def tell(progress: Progress) -> None:
        # The percentage is of all files, sent or not: a total can be made of it only where all are sent.
        total = progress.done_bytes * 100 // progress.percent if first and progress.percent else None
        job.listener(TransferProgress(host.name, progress.done_bytes, total, progress.rate_bytes_per_s))

    result = run_rsync(argv, timeout_s=job.timeout_s, stop=job.stop, on_progress=tell)
    if result.exit_code != 0 and result.exit_code not in allowed:
        raise _failure(result, job, place)
    return result


def _failure(result: RsyncResult, job: _Job, place: ProjectDir) -> FleetError:
    if result.exit_code < 0:
        return HostError("rsync was ended", f"by signal {-result.exit_code}", "run `sltfleet sync` again")
    return sync_failure(
        result.exit_code, result.stderr, mount=place.mount, free_bytes=place.free_bytes, max_delete=job.max_delete
    )


def _planned(result: RsyncResult) -> Planned:
    reader = result.reader
    return Planned(reader.changed_files, tuple(reader.changed_names), reader.deleted, tuple(reader.deleted_names))


def _describe(
    host: Host,
    place: ProjectDir,
    result: RsyncResult,
    stats: Stats,
    started_s: float,
    *,
    record: SyncRecord | None = None,
    planned: Planned | None = None,
) -> tuple[SyncedHost, str]:
    synced = SyncedHost(
        host=host.name,
        project_root=place.path,
        repo=place.repo,
        files=stats.files,
        total_bytes=stats.total_bytes,
        transferred=stats.transferred,
        deleted=result.reader.deleted,
        sent_bytes=stats.sent_bytes,
        speedup=stats.speedup,
        duration_s=time.monotonic() - started_s,
        record=record,
        planned=planned,
    )
    if planned is not None:
        return synced, f"would send {planned.sent}, would delete {planned.deleted}"
    return synced, f"{stats.files} files, {stats.transferred} sent, {result.reader.deleted} deleted"
