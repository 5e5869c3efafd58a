"""What is remembered of a sync on the host, and how build and run make sure that the last one was whole.

`sync.incomplete` is there from before the first byte until `sync.json` is written; both lie in the project's folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sltfleet.core.errors import SyncError
from sltfleet.core.paths import SYNC_INCOMPLETE_NAME, SYNC_RECORD_NAME, HostPaths
from sltfleet.core.shell import ROOT_PRELUDE, Script
from sltfleet.wire.codec import decode, to_text

#: Exit codes of WHOLE_SYNC_CHECK.
INCOMPLETE_CODE = 81
NEVER_CODE = 82

#: Shell text for scripts that stand in the project's folder: they go no further on a tree that is not whole.
WHOLE_SYNC_CHECK = f"""\
[ ! -e {SYNC_INCOMPLETE_NAME} ] || exit {INCOMPLETE_CODE}
[ -f {SYNC_RECORD_NAME} ] || exit {NEVER_CODE}
"""


@dataclass(frozen=True)
class SyncRecord:
    """The last whole sync.

    `content_id` stays the same for exactly as long as no sync changes anything in the repo there. `total_bytes` are
    those of all files, `finished_wall_s` seconds since the epoch on the controller's clock. `origin` and `origin_name`
    are those of `core.origin`, "" in a record of before there was one.
    """

    content_id: str
    commit: str
    dirty_digest: str
    files: int
    total_bytes: int
    finished_wall_s: float
    sltfleet_version: str
    origin: str = ""
    origin_name: str = ""


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


def incomplete_note(started_wall_s: float, commit: str, dirty_digest: str) -> bytes:
    """Return the content of `sync.incomplete`: for people, and to know what was under way."""
    note = {"started_wall_s": started_wall_s, "commit": commit, "dirty_digest": dirty_digest}
    return json.dumps(note).encode("ascii") + b"\n"


def record_to_json(record: SyncRecord) -> bytes:
    """Return the content of sync.json."""
    return to_text(record).encode("ascii") + b"\n"


def record_from_json(text: str) -> SyncRecord | None:
    """Return the record, None where there is none or it is damaged: the next sync writes a new one."""
    try:
        return decode(SyncRecord, json.loads(text))
    except (ValueError, RecursionError):  # DecodeError is a ValueError
        return None


def next_content_id(before: SyncRecord | None, *, interrupted: bool, changed: bool, fresh_id: str) -> str:
    """Return the content id after a sync: the one before only where nothing can have changed since it was given.

    A sync that was interrupted may have changed the tree without leaving an id, so after one the id is always fresh.
    """
    if before is None or interrupted or changed:
        return fresh_id
    return before.content_id


_RECORD_BODY = (
    ROOT_PRELUDE
    + """\
cd -P "$root/$1" && shift || exit 1
record=$1; incomplete=$2; shift 2
# cargo looks at the file behind a link: one that now points to an older file must count as changed. `-P`: never out
# of the repo.
repo=$(cd -P repo && pwd -P) || exit 1
for link do
  target=$(readlink -f -- "repo/$link") || continue
  case $target in "$repo"/*) find -P "$target" -type f -exec touch -c -h -- {} + || exit 1 ;; esac
done
put_record "$record.new" && mv "$record.new" "$record" && rm -f "$incomplete"
"""
)


def record_script(paths: HostPaths, record: SyncRecord, links: tuple[str, ...]) -> Script:
    """Return the script that ends a sync: it writes sync.json and removes `sync.incomplete`.

    `links` are the symbolic links that this sync made or changed: what they point to inside the repo gets the time of
    now.
    """
    args = (paths.root, paths.project, SYNC_RECORD_NAME, SYNC_INCOMPLETE_NAME, *links)
    return Script(_RECORD_BODY, args, files=(("record", record_to_json(record)),))


def sync_problem(exit_code: int) -> SyncError | None:
    """Return the error that an exit code of WHOLE_SYNC_CHECK stands for, None for any other code."""
    if exit_code == INCOMPLETE_CODE:
        return SyncError(
            "the repo there is not whole", "a sync was interrupted, or one is under way", "run `sltfleet sync`"
        )
    if exit_code == NEVER_CODE:
        return SyncError("the repo is not there", "nothing was synced to this host yet", "run `sltfleet sync`")
    return None
