"""The tables and the JSON of `sync` and `build`."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from sltfleet.core.building import BuiltSuite
from sltfleet.core.duration import format_duration
from sltfleet.core.size import format_size
from sltfleet.core.syncing import SyncedHost
from sltfleet.report.sanitize import visible


def sync_table(synced: Sequence[SyncedHost]) -> str:
    """Return one row per host; `speedup` is rsync's own: all bytes / bytes sent and received."""
    rows = [
        (
            visible(host.host),
            host.files,
            host.transferred if host.planned is None else host.planned.sent,
            host.deleted if host.planned is None else host.planned.deleted,
            format_size(host.total_bytes),
            format_size(host.sent_bytes),
            f"{host.speedup:.1f}",
            format_duration(host.duration_s),
        )
        for host in synced
    ]
    headers = ("host", "files", "sent", "deleted", "all bytes", "bytes sent", "speedup", "time")
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=("left", *["right"] * 7))


def sync_names(synced: Sequence[SyncedHost]) -> list[str]:
    """Return, for a dry run, a line per name that would be sent or deleted, as far as they are known."""
    lines = []
    for host in synced:
        if host.planned is None:
            continue
        lines += [f"{visible(host.host)}: send {visible(name)}" for name in host.planned.sent_names]
        lines += [f"{visible(host.host)}: delete {visible(name)}" for name in host.planned.deleted_names]
    return lines


def sync_json(synced: Sequence[SyncedHost]) -> list[dict[str, object]]:
    """Return the JSON value of `sync --format json`: one object per host. Sizes are bytes."""
    return [
        {
            "host": host.host,
            "files": host.files,
            "transferred": host.transferred,
            "deleted": host.deleted,
            "total_bytes": host.total_bytes,
            "sent_bytes": host.sent_bytes,
            "speedup": host.speedup,
            "duration_s": round(host.duration_s, 3),
            "dry_run": host.planned is not None,
        }
        for host in synced
    ]


def build_table(built: Sequence[BuiltSuite]) -> str:
    """Return one row per host."""
    rows = [
        (
            visible(host.host),
            visible(host.suite),
            "unchanged" if host.cached else "built",
            host.digest[:12],
            visible(host.toolchain.partition(" (")[0], limit=40),
            format_duration(host.duration_s),
        )
        for host in built
    ]
    return tabulate(rows, headers=("host", "suite", "result", "digest", "toolchain", "time"), disable_numparse=True)


def build_json(built: Sequence[BuiltSuite]) -> list[dict[str, object]]:
    """Return the JSON value of `build --format json`: one object per host."""
    return [
        {
            "host": host.host,
            "suite": host.suite,
            "binary": host.binary,
            "digest": host.digest,
            "toolchain": host.toolchain,
            "cached": host.cached,
            "duration_s": round(host.duration_s, 3),
        }
        for host in built
    ]
