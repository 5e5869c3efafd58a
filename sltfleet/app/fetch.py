"""fetch: brings what the hosts have of a run into `.sltfleet/runs/<id>/<host>/`, and into the results database.

It may be repeated, also during a run: only what is new crosses the network. Nothing that a host says is believed: see
`core.fetching`. Every host is asked and fetched from side by side; the imports come one after the other, at the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener, TransferProgress, Warned
from sltfleet.app.runs import UNREADABLE_FIX, RunRecord, load_run
from sltfleet.core.errors import FleetError, HostError, RunError, SyncError, UsageError
from sltfleet.core.fetching import (
    AGAIN,
    DONE_CODES,
    FetchLimits,
    Offer,
    check_offer,
    fetch_argv,
    fetch_failure,
    offer_script,
    parse_offer,
)
from sltfleet.core.paths import LocalPaths
from sltfleet.core.rsync import Progress
from sltfleet.core.rsync_failures import no_rsync_there
from sltfleet.core.runid import is_run_id
from sltfleet.core.size import format_size
from sltfleet.results.fetched import FetchedFolder, check_fetched
from sltfleet.results.folder import make_state_folder
from sltfleet.results.store import JOURNAL_NAME, Imported, Store
from sltfleet.transport.rsync import run_rsync

#: The question is answered at once, but for the sizes of many files on a slow disk.
ASK_TIMEOUT_S = 120.0

#: A transfer that goes on for longer is ended: at the latest after this, and sooner where less was to be expected.
#: rsync itself ends one that stands still, but waits for a remote shell that does not end.
TRANSFER_TIMEOUT_S = 12 * 3600.0
SETTLE_S = 300.0
SLOWEST_BYTES_PER_S = 64 * 1024

#: A journal grows while it is fetched: so much more than was offered may come.
GROWTH_BYTES = 1024**3

STEP = "fetching"


@dataclass(frozen=True)
class NothingThere:
    """The host has no such run, or none at all."""


@dataclass(frozen=True)
class FetchedRun:
    """What was fetched from a host. `received_bytes` crossed the network this time; the rest is of all there is."""

    run_id: str
    folder: Path
    files: int
    size_bytes: int
    received_bytes: int
    #: Entries that do not belong into a run's folder, and were taken away.
    removed: int


HostFetch = FetchedRun | NothingThere


@dataclass(frozen=True)
class FetchResult:
    """What came of it: each host's part, and what was new in the journals that can be read.

    `run_id` is the newest run among those, None where there is none.
    """

    run_id: str | None
    hosts: HostResults[HostFetch]
    imported: dict[str, Imported]


def fetch(
    fleet: Fleet,
    run_id: str | None,
    listener: Listener,
    *,
    limits: FetchLimits | None = None,
    timeout_s: float = TRANSFER_TIMEOUT_S,
) -> FetchResult:
    """Fetch a run from all selected hosts; None stands for each host's newest.

    The newest of all is then the result's run; a host whose newest is an older one has that fetched. Raises RunError
    where every host answered and none has the run, and UsageError for what is no run id.
    """
    if run_id is not None and not is_run_id(run_id):
        raise UsageError(f"{run_id!r} is no run id", fix="`sltfleet status` names the newest run")
    # Opened first: a database that cannot be used is told before anything is fetched.
    with Store.open(fleet.paths) as store:
        hosts = _fetch_all(fleet, run_id, listener, limits or FetchLimits(), timeout_s)
        return _conclude(store, fleet.paths, run_id, hosts, listener)


def _fetch_all(
    fleet: Fleet, run_id: str | None, listener: Listener, limits: FetchLimits, timeout_s: float
) -> HostResults[HostFetch]:
    stop = threading.Event()
    job = _Job(fleet.paths, run_id, listener, limits, timeout_s, stop)
    try:
        return fleet.each_host(STEP, lambda host: _fetch_host(host, job), listener)
    finally:
        stop.set()


def _conclude(
    store: Store, paths: LocalPaths, run_id: str | None, hosts: HostResults[HostFetch], listener: Listener
) -> FetchResult:
    fetched = {host: part for host, part in hosts.values.items() if isinstance(part, FetchedRun)}
    if not fetched and not hosts.errors:
        raise RunError(
            f"no host has run {run_id}" if run_id else "no host has a run",
            fix="start one with `sltfleet run`" if run_id is None else "`sltfleet status` names the newest run",
        )
    imported = _import(store, fetched, hosts, listener)
    newest = max((fetched[host].run_id for host in imported), default=None)
    if newest is not None:
        _tell_of_the_rest(newest, fetched, hosts, load_run(paths, newest), listener)
    return FetchResult(newest, hosts, imported)


def _tell_of_the_rest(
    run_id: str,
    fetched: dict[str, FetchedRun],
    hosts: HostResults[HostFetch],
    record: RunRecord | None,
    listener: Listener,
) -> None:
    """Say which hosts' results are not in the tables of `run_id`: they had another run, or were not asked."""
    for host, part in fetched.items():
        if part.run_id != run_id:
            text = f"it had run {part.run_id}, which is not in the tables of {run_id}"
            listener(Warned(host, text, f"sltfleet report {part.run_id}"))
    asked = hosts.values.keys() | hosts.errors.keys()
    left_out = [host for host in record.hosts if host not in asked] if record else []
    if left_out:
        text = f"run {run_id} was started on {', '.join(left_out)} as well, which this fetch was not about"
        listener(Warned("", text, f"sltfleet fetch --run {run_id}"))


@dataclass(frozen=True)
class _Job:
    """What is the same for all hosts."""

    paths: LocalPaths
    run_id: str | None
    listener: Listener
    limits: FetchLimits
    timeout_s: float
    stop: threading.Event


def _fetch_host(host: Host, job: _Job) -> tuple[HostFetch, str]:
    answer = host.transport.run(offer_script(host.paths, job.run_id), timeout_s=ASK_TIMEOUT_S)
    offer = parse_offer(answer.stdout)
    if offer is None:
        return NothingThere(), "no such run there" if job.run_id else "no run there"
    if not is_run_id(offer.run_id) or job.run_id not in (None, offer.run_id):
        raise HostError("the host names a run that is none", f"{offer.run_id[:80]!r}", "look at `current` there")
    if not offer.rsync:
        raise no_rsync_there()
    check_offer(offer, job.limits)
    folder = job.paths.host(offer.run_id, host.name)
    received_bytes = _transfer(host, job, offer, folder)
    found = _checked(folder)
    if found.removed:
        names = ", ".join(found.removed_names)
        job.listener(Warned(host.name, f"{found.removed} entries that no runner writes were taken away: {names}"))
    if not (folder / JOURNAL_NAME).is_file():
        raise RunError("the run has no journal", f"the host sent none for run {offer.run_id}", "look at runner.log")
    fetched = FetchedRun(offer.run_id, folder, found.files, found.size_bytes, received_bytes, found.removed)
    return fetched, f"run {offer.run_id}: {found.files} files, {format_size(received_bytes)} received"


def _transfer(host: Host, job: _Job, offer: Offer, folder: Path) -> int:
    """Run rsync, and return the bytes that crossed the network."""
    first = not folder.exists()
    try:
        make_state_folder(job.paths.state_dir, folder)
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        raise RunError("cannot make the run's folder", f"{folder}: {error.strerror}", "make it writable") from error
    if first and offer.size_bytes > free_bytes:
        needed, free = format_size(offer.size_bytes), format_size(free_bytes)
        raise RunError("the disk here is too full", f"the run has {needed}, and {free} are free", "free some space")
    endpoint = host.transport.rsync_endpoint()
    argv = fetch_argv(endpoint.prefix + offer.path, os.fspath(folder.absolute()), rsh=endpoint.rsh, limits=job.limits)
    allowed_bytes = min(offer.size_bytes + GROWTH_BYTES, job.limits.total_bytes)

    def tell(progress: Progress) -> None:
        if progress.done_bytes > allowed_bytes:
            raise HostError(
                "the host sends more than it has", f"more than {format_size(allowed_bytes)}", "do not trust it"
            )
        share = min(1.0, progress.done_bytes / max(1, offer.size_bytes)) if first else progress.looked_at
        job.listener(TransferProgress(host.name, progress.done_bytes, share, progress.rate_bytes_per_s))

    try:
        timeout_s = min(job.timeout_s, SETTLE_S + offer.size_bytes / SLOWEST_BYTES_PER_S)
        result = run_rsync(argv, timeout_s=timeout_s, stop=job.stop, on_progress=tell)
    except SyncError as error:
        # Shared with sync, which words it for itself.
        raise RunError("the fetch was interrupted", error.why, AGAIN) from error
    if result.exit_code not in DONE_CODES:
        with contextlib.suppress(OSError):
            check_fetched(folder)
        raise fetch_failure(result.exit_code, result.stderr)
    return result.reader.stats.received_bytes if result.reader.stats else 0


def _checked(folder: Path) -> FetchedFolder:
    try:
        return check_fetched(folder)
    except OSError as error:
        raise RunError("what was fetched cannot be checked", f"{folder}: {error.strerror}", AGAIN) from error


def _import(
    store: Store, fetched: dict[str, FetchedRun], hosts: HostResults[HostFetch], listener: Listener
) -> dict[str, Imported]:
    """Import the fetched journals; a host whose journal cannot be imported has that as its error."""
    imported: dict[str, Imported] = {}
    for host, part in fetched.items():
        try:
            found = store.import_journal(part.run_id, host, part.folder / JOURNAL_NAME)
            if not found.readable:
                raise RunError(f"run {part.run_id} cannot be read", found.damage, UNREADABLE_FIX)
        except FleetError as error:
            error.host = host
            hosts.errors[host] = error
            continue
        imported[host] = found
        if found.damage:
            listener(Warned(host, found.damage, "what stands before is in the tables"))
    return imported
