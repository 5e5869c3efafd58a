"""clean: deletes old runs and builds on the hosts, and fetched runs here; first a plan, then, once confirmed, the deed.

Nothing is decided here: `core.cleaning` plans, and its scripts check on the host what may be deleted.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener
from sltfleet.app.runs import list_runs
from sltfleet.core.cleaning import (
    CleanPlan,
    CleanRequest,
    Deletion,
    delete_script,
    expired_runs,
    is_absent,
    list_script,
    parse_deleted,
    parse_listing,
    plan_clean,
    refusal,
)
from sltfleet.core.errors import HostError, RefusedError
from sltfleet.core.paths import LocalPaths
from sltfleet.core.size import format_size

#: Sizes of a million files on a cold disk; and their deletion.
LIST_TIMEOUT_S = 600.0
DELETE_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Cleaned:
    """What was deleted in one place."""

    deletions: tuple[Deletion, ...]

    @property
    def size_bytes(self) -> int:
        """What it freed, at most."""
        return sum(deletion.size_bytes for deletion in self.deletions)


def plan_hosts(
    fleet: Fleet, request: CleanRequest, listener: Listener, *, now: Callable[[], float] = time.time
) -> HostResults[CleanPlan]:
    """Return what would be deleted on every selected host. Raises UsageError for a request that makes no sense.

    A host gets ActiveRunError while a run is active there, RefusedError where the folder is not beyond doubt ours.
    """
    request.check()

    def work(host: Host) -> tuple[CleanPlan, str]:
        result = host.transport.run(list_script(host.paths, request), timeout_s=LIST_TIMEOUT_S)
        if is_absent(result.exit_code):
            return CleanPlan(host.paths.project_dir), "nothing there"
        _raise_refusal(host, result.exit_code)
        plan = plan_clean(host.paths.project_dir, parse_listing(result.stdout), request, now())
        return plan, format_size(plan.size_bytes) if plan.deletions else "nothing to delete"

    return fleet.each_host("looking", work, listener)


def execute_hosts(fleet: Fleet, plans: Mapping[str, CleanPlan], listener: Listener) -> HostResults[Cleaned]:
    """Delete what the plans say, on every host that has one with something in it; the hosts check everything again.

    A host gets HostError where something could not be deleted.
    """

    def work(host: Host) -> tuple[Cleaned, str]:
        plan = plans[host.name]
        result = host.transport.run(delete_script(host.paths, plan), timeout_s=DELETE_TIMEOUT_S)
        _raise_refusal(host, result.exit_code)
        names = parse_deleted(result.stdout)
        deleted = tuple(deletion for deletion in plan.deletions if deletion.name in names)
        left = [deletion.name for deletion in plan.deletions if deletion.name not in names]
        if left:
            why = (result.stderr.strip().splitlines() or [f"exit code {result.exit_code}"])[-1]
            fix = "remove it there by hand: it may belong to another user, or be in use"
            raise HostError(
                f"not everything could be deleted: {', '.join(left)} is left", why, fix, detail=result.stderr
            )
        cleaned = Cleaned(deleted)
        return cleaned, f"{format_size(cleaned.size_bytes)} freed"

    chosen = tuple(host for host in fleet.hosts if host.name in plans and plans[host.name].deletions)
    return fleet.each_host("cleaning", work, listener, hosts=chosen)


def plan_local(paths: LocalPaths, request: CleanRequest, now_s: float) -> CleanPlan:
    """Return which fetched runs would be deleted here: with `everything` all of them. The results database stays.

    Runs of which nothing was fetched are counted by themselves: none of them is kept in a result's place.

    Raises UsageError, and RefusedError where `.sltfleet/runs` is a link.
    """
    request.check()
    _refuse_link(paths)
    runs = [run for run in list_runs(paths) if _is_folder(paths.run(run))]
    doomed = dict.fromkeys(runs, "all of them") if request.everything else _expired_here(paths, runs, request, now_s)
    deletions = tuple(Deletion(f"runs/{run}", _tree_size(paths.run(run)), why) for run, why in doomed.items())
    return CleanPlan(str(paths.state_dir), deletions, tuple(run for run in runs if run not in doomed))


def execute_local(paths: LocalPaths, plan: CleanPlan) -> Cleaned:
    """Delete fetched runs that the plan names. Raises RefusedError for a link, HostError for what cannot be deleted."""
    _refuse_link(paths)
    for deletion in plan.deletions:
        folder = paths.run(deletion.name.removeprefix("runs/"))
        if not _is_folder(folder):
            raise RefusedError(f"{folder} is not deleted", "it is no folder any more", "look at it")
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise HostError(f"cannot delete {folder}", str(error), "make it writable, and try again") from error
    return Cleaned(plan.deletions)


def _expired_here(paths: LocalPaths, runs: Sequence[str], request: CleanRequest, now_s: float) -> dict[str, str]:
    fetched = [run for run in runs if any(_is_folder(entry) for entry in paths.run(run).iterdir())]
    only_named = [run for run in runs if run not in fetched]
    return expired_runs(fetched, request, now_s) | expired_runs(only_named, request, now_s)


def _raise_refusal(host: Host, exit_code: int) -> None:
    error = refusal(host.paths, exit_code)
    if error is not None:
        raise error


def _refuse_link(paths: LocalPaths) -> None:
    for folder in (paths.state_dir, paths.runs):
        if folder.is_symlink():
            raise RefusedError(f"nothing is deleted in {paths.runs}", f"{folder} is a link", "look at it")


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _tree_size(folder: Path) -> int:
    """The disk space of a folder's files, in bytes; of what cannot be read, nothing is counted."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return total
