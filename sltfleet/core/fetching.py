"""fetch: what a host has of a run (the script and its parser), and the rsync command that brings it here.

The host is not trusted. Only plain files and folders are asked for, by an rsync client that refuses names it did not
ask for (rsync(1), `--trust-sender`, which is never given); sizes and counts are limited. What came is checked once more
by `results.fetched`. A file that is gone on the host stays here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sltfleet.core.errors import FleetError, HostError, RunError
from sltfleet.core.paths import HostPaths
from sltfleet.core.rsync import QUIET_LIMIT_S
from sltfleet.core.rsync_failures import sync_failure
from sltfleet.core.shell import ROOT_PRELUDE, Script, rsync_rsh
from sltfleet.core.size import format_size

#: What is fetched of a run's folder. The snapshot of the repo, the executable and the workers' views stay there.
FILES = ("spec.json", "journal.jsonl", "state.json", "runner.log", "identity")
ARTIFACTS = "artifacts"

#: rsync's exit code for files that vanished while it read them: the state file is replaced once a second.
_VANISHED = 24
DONE_CODES = (0, _VANISHED)

AGAIN = "run `sltfleet fetch` again: it goes on where it was"
_LOOK = "look at the run's folder on the host"

_FULL_DISK = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_REFUSED = re.compile(r"ERROR: rejecting |ABORTING due to (?:unsafe|invalid)", re.IGNORECASE)
_SHOWN_LINES = 20

_OFFER = (
    ROOT_PRELUDE
    + """\
run=$1; shift
if [ -z "$run" ]; then read -r run <"$root/current" || :; fi 2>/dev/null
[ -n "$run" ] || exit 0
printf 'run %s\\n' "$run"
cd "$root/runs/$run" 2>/dev/null || exit 0
command -v rsync >/dev/null && echo rsync
find "$@" -type f -exec stat -c %s {} + 2>/dev/null |
  awk '{ files++; size += $1 } END { printf "files %d %.0f\\n", files, size }'
printf 'path %s\\n' "$(pwd -P)"
"""
)


@dataclass(frozen=True)
class FetchLimits:
    """What is more than this is no run of ours, and is not fetched."""

    files: int = 1_000_000
    total_bytes: int = 64 * 1024**3
    file_bytes: int = 16 * 1024**3


@dataclass(frozen=True)
class Offer:
    """What a host has of a run: `path` is the run's folder there, absolute. `rsync`: whether it is installed there."""

    run_id: str
    path: str
    files: int
    size_bytes: int
    rsync: bool


def offer_script(paths: HostPaths, run_id: str | None) -> Script:
    """Return the script that asks for a run, or for the host's newest one where `run_id` is None."""
    return Script(_OFFER, (paths.project_dir, run_id or "", *FILES, ARTIFACTS))


def parse_offer(output: str) -> Offer | None:
    """Return what the host has, None where it has no such run. The run's id is as the host wrote it: check it.

    Raises HostError for an answer that makes no sense.
    """
    head, _, path = output.partition("\npath ")
    fields = dict(line.partition(" ")[::2] for line in head.split("\n"))
    if not path or "run" not in fields:
        return None
    found = re.fullmatch(r"(\d{1,18}) (\d{1,18})", fields.get("files", ""))
    path = path.removesuffix("\n")
    if found is None or not path.startswith("/"):
        raise HostError(
            "the host's answer makes no sense", "it does not say what it has of the run", "see `sltfleet doctor`"
        )
    return Offer(fields["run"], path, int(found[1]), int(found[2]), "rsync" in fields)


def check_offer(offer: Offer, limits: FetchLimits) -> None:
    """Raise RunError for a run that is larger than any of ours."""
    if offer.files > limits.files:
        raise RunError("the run is not fetched", f"it has {offer.files} files, more than {limits.files}", _LOOK)
    if offer.size_bytes > limits.total_bytes:
        size, limit = format_size(offer.size_bytes), format_size(limits.total_bytes)
        raise RunError("the run is not fetched", f"it has {size}, more than {limit}", _LOOK)


def fetch_argv(
    source: str, target: str, *, rsh: Iterable[str] | None, limits: FetchLimits, quiet_limit_s: int = QUIET_LIMIT_S
) -> list[str]:
    """Return the command that brings a run's folder `source` ("name:/path" or "/path") into the folder `target`.

    A file is written aside and renamed when it is whole, so that whoever reads here meanwhile never sees half of it; of
    a journal that has grown only the growth crosses the network. Raises ValueError for a NUL in `rsh`.
    """
    argv = [
        "rsync",
        "--recursive",
        # Plain files and folders, and nothing of what they may do or whose they are.
        "--no-links",
        "--no-devices",
        "--no-specials",
        "--no-perms",
        "--no-owner",
        "--no-group",
        "--chmod=D700,F600",
        # Size and time tell which files have changed since the last fetch.
        "--times",
        "--omit-dir-times",
        f"--max-size={limits.file_bytes}",
        *(f"--include=/{name}" for name in FILES),
        f"--include=/{ARTIFACTS}/***",
        "--exclude=*",
        # Paths travel inside the protocol: no shell on the host sees them.
        "--secluded-args",
        # For the parser in core.rsync.
        "--no-human-readable",
        "--outbuf=N",
        "--info=progress2,stats2",
        f"--timeout={quiet_limit_s}",
    ]
    if rsh is not None:
        argv += ["--compress", "-e", rsync_rsh(rsh)]
    return [*argv, "--", source.rstrip("/") + "/", target.rstrip("/") + "/"]


def fetch_failure(exit_code: int, stderr: str) -> FleetError:
    """Return the error for an rsync that ended with `exit_code` (none of DONE_CODES; negative: a signal)."""
    detail = "\n".join(stderr.strip().splitlines()[-_SHOWN_LINES:])
    if _REFUSED.search(stderr):
        return HostError(
            "the host sent files that were not asked for",
            "rsync here refused them",
            "find out who changed rsync or the shell on that host",
            detail=detail,
        )
    if _FULL_DISK.search(stderr):
        return RunError(
            "the disk here is full", "no space is left for what the host has", "free some space", detail=detail
        )
    if exit_code < 0:
        return RunError("rsync was ended", f"by signal {-exit_code}", AGAIN, detail=detail)
    if exit_code == 23:
        return RunError(
            "not everything was fetched", "some files cannot be read there or written here", AGAIN, detail=detail
        )
    known = sync_failure(exit_code, stderr)
    if isinstance(known, HostError):
        return known
    return RunError("the fetch did not get to its end", known.why, AGAIN, detail=detail)
