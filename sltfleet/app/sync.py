"""`sync`: brings the repo to every host, side by side: afterwards a host has all of it, or a marker that says no.

What is sent is decided once, on the controller; docs/decisions/003-what-is-synced.md tells how.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator

from sltfleet import __version__
from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener
from sltfleet.app.revision import read_origin, read_revision
from sltfleet.app.sync_transfer import SyncJob, plan, transfer_and_delete
from sltfleet.config.load import LoadedConfig
from sltfleet.core.errors import SyncError
from sltfleet.core.gitignore import parse_patterns
from sltfleet.core.origin import another_origin
from sltfleet.core.project_dir import ProjectDir, look_script, parse_project_dir, prepare_failure, prepare_script
from sltfleet.core.rsync import QUIET_LIMIT_S, Stats
from sltfleet.core.rsync_failures import no_rsync_there
from sltfleet.core.sync_rules import filter_rules
from sltfleet.core.syncing import (
    Planned,
    SyncedHost,
    SyncRecord,
    incomplete_note,
    next_content_id,
    record_from_json,
    record_script,
)
from sltfleet.transport.rsync import SILENT_LIMIT_S, RsyncResult
from sltfleet.transport.worktree import select_files

#: Scripts that only look or write a small file; connecting included.
SCRIPT_TIMEOUT_S = 60.0
#: A transfer that goes on for longer is ended; one that stands still is ended much sooner, by rsync itself.
TRANSFER_TIMEOUT_S = 12 * 3600.0


def sync(
    fleet: Fleet,
    listener: Listener,
    *,
    dry_run: bool = False,
    take_over: bool = False,
    quiet_limit_s: int = QUIET_LIMIT_S,
    timeout_s: float = TRANSFER_TIMEOUT_S,
    silent_limit_s: float = SILENT_LIMIT_S,
) -> HostResults[SyncedHost]:
    """Bring the repo to all hosts of the fleet. With `dry_run` nothing is written anywhere.

    A folder that was synced from another checkout is left alone, with a RefusedError for its host, unless `take_over`.

    Raises SyncError for what is wrong on this side already (git, a submodule without content); what goes wrong on a
    host is that host's error. When it is left by an exception, KeyboardInterrupt say, the running transfers are
    ended.
    """
    config = fleet.loaded.config.sync
    repo = fleet.loaded.repo
    left_out = (*config.exclude, *kept_here(fleet.loaded))
    include, exclude = (
        tuple(pattern for text in texts for pattern in parse_patterns(text)) for texts in (config.include, left_out)
    )
    selection = select_files(repo, gitignore=config.gitignore, include=config.include, exclude=left_out)
    stop = threading.Event()
    with _rules_file(filter_rules(selection, include, exclude)) as rules_file:
        job = SyncJob(
            repo=repo,
            rules_file=rules_file,
            max_delete=config.max_delete,
            revision=read_revision(repo),
            origin=read_origin(repo),
            take_over=take_over,
            stop=stop,
            listener=listener,
            quiet_limit_s=quiet_limit_s,
            timeout_s=timeout_s,
            silent_limit_s=silent_limit_s,
        )
        try:
            return fleet.each_host("syncing", lambda host: _sync_host(host, job, dry_run=dry_run), listener)
        finally:
            stop.set()


def kept_here(loaded: LoadedConfig) -> tuple[str, ...]:
    """Return the pattern of a fleet.yaml that lies in the repo and has the queue's password in it: no host needs it."""
    queue = loaded.config.queue
    if queue is None or not queue.has_password or not loaded.path.is_relative_to(loaded.repo):
        return ()
    path = loaded.path.relative_to(loaded.repo).as_posix()
    return ("/" + re.sub(r"([\\*?\[\] ])", r"\\\1", path),)


@contextlib.contextmanager
def _rules_file(rules: str) -> Iterator[str]:
    # A name of plain characters: rsync takes the rest of its `--filter` word literally, but not a line break.
    with tempfile.NamedTemporaryFile(prefix="sltfleet-rules-") as file:
        file.write(os.fsencode(rules))
        file.flush()
        yield file.name


def _sync_host(host: Host, job: SyncJob, *, dry_run: bool) -> tuple[SyncedHost, str]:
    started_s = time.monotonic()
    place = _prepare(host, job, dry_run=dry_run)
    before = record_from_json(place.record)
    if place.foreign:
        raise another_origin(job.origin, before.origin_name if before else "")
    if not place.rsync:
        raise no_rsync_there()
    if dry_run:
        result = plan(host, job, place)
        return _describe(host, place, result, _stats(result), started_s, planned=_planned(result))
    result = transfer_and_delete(host, job, place, first=before is None)
    stats = _stats(result)
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
        origin=job.origin.digest,
        origin_name=job.origin.name,
    )
    answer = host.transport.run(
        record_script(host.paths, record, tuple(result.reader.links)), timeout_s=SCRIPT_TIMEOUT_S
    )
    if answer.exit_code != 0:
        raise SyncError("the end of the sync could not be recorded", answer.stderr.strip()[-500:], "sync it again")
    return _describe(host, place, result, stats, started_s, record=record)


def _prepare(host: Host, job: SyncJob, *, dry_run: bool) -> ProjectDir:
    wanted = "" if job.take_over else job.origin.digest
    if dry_run:
        script = look_script(host.paths, wanted)
    else:
        note = incomplete_note(time.time(), job.revision.commit, job.revision.dirty_digest)
        script = prepare_script(host.paths, note, wanted)
    answer = host.transport.run(script, timeout_s=SCRIPT_TIMEOUT_S)
    if answer.exit_code != 0:
        raise prepare_failure(host.paths, answer.exit_code, answer.stderr)
    return parse_project_dir(answer.stdout)


def _stats(result: RsyncResult) -> Stats:
    stats = result.reader.stats
    if stats is None:
        why, fix = "it printed something else", "sync it again; `rsync --version` here and there must be 3.1 or newer"
        raise SyncError("rsync's closing numbers are missing", why, fix, detail=result.stderr[-999:])
    return stats


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
