"""The project's folder on a host: made, marked and looked at by one script, before anything is written there.

A folder that has no marker of ours is never written to, let alone emptied. What comes back is the host's word: it is
checked here.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from sltfleet.core.errors import FleetError, HostError, RefusedError, SyncError
from sltfleet.core.full_disk import disk_full, is_disk_full
from sltfleet.core.paths import MARKER_NAME, SYNC_INCOMPLETE_NAME, SYNC_RECORD_NAME, HostPaths
from sltfleet.core.shell import ROOT_PRELUDE, Script

#: A sync record is some 300 bytes; what is larger is none.
MAX_RECORD_BYTES = 64 * 1024

#: Exit codes of the script, above those of sh and of any command in it.
_PROBLEMS = {
    70: ("there is no home folder for a root that begins with `~`", "give the host a `root` that begins with `/`"),
    71: ("a link is in its place", "remove the link, or choose another `root` or `project`"),
    72: ("it is no folder", "move that file away, or choose another `root` or `project`"),
    73: (
        "it is not empty and has no marker of sltfleet's",
        "choose another `root` or `project`, or empty that folder yourself",
    ),
    74: ("its marker names another project", "choose another `root` or `project`"),
    75: ("it belongs to another user", "choose another `root`"),
    76: ("it is the home folder, or the home folder lies in it", "choose another `root`"),
    77: ("its marker is a link or no file", "look at it: sltfleet never makes one of that kind"),
    78: ("`repo` in it is a link or no folder", "look at it: sltfleet never makes one of that kind"),
}

#: What was written before the host's clock was set back lies in the future, and cargo, which compares times, would take
#: a file that is sent now for older than the last build. So everything there is moved into the past, by as much as it
#: takes, each file by the same: what was newer than what stays so. Without python3 nothing can run there anyway.
_MOVE_INTO_THE_PAST = """\
import os, sys, time
times = {}
for top in sys.argv[1:]:
    for folder, folders, names in os.walk(top):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:
            times[path] = os.lstat(path).st_mtime_ns
    if os.path.isfile(top):
        times[top] = os.lstat(top).st_mtime_ns
back_ns = max(times.values()) - time.time_ns() + 2 * 10**9
for path, made_ns in times.items():
    os.utime(path, ns=(made_ns - back_ns,) * 2, follow_symlinks=False)
"""

_BODY = (
    """\
case $1 in "~"|"~/"*) [ -n "${HOME:-}" ] || exit 70 ;; esac
"""
    + ROOT_PRELUDE
    + """\
project=$1; marker=$2; incomplete=$3; record=$4; mode=$5; origin=$6; move=$7
dir=$root/$project
[ ! -L "$dir" ] || exit 71
if [ -e "$dir" ]; then
  [ -d "$dir" ] || exit 72
  [ -O "$dir" ] || exit 75
  place=$(cd -P "$dir" && pwd -P) || exit 79
  home=$(cd -P "${HOME:-/}" 2>/dev/null && pwd -P)
  case $home/ in "$place"/*) exit 76 ;; esac
  if [ -L "$dir/$marker" ]; then exit 77
  elif [ -f "$dir/$marker" ]; then [ "$(cat "$dir/$marker")" = "$project" ] || exit 74
  elif [ -e "$dir/$marker" ]; then exit 77
  # A marker that was being written when the disk was full or the host went down is no stranger's.
  elif [ -n "$(ls -A "$dir" | grep -v -x -F "$marker.new")" ]; then exit 73
  fi
  [ ! -L "$dir/repo" ] || exit 78
  [ ! -e "$dir/repo" ] || [ -d "$dir/repo" ] || exit 78
fi
absolute=$dir
if [ "$mode" = sync ]; then
  mkdir -p "$dir" && chmod 700 "$dir" || exit 79
  if [ ! -f "$dir/$marker" ]; then
    rm -f "$dir/$marker.new" && put_marker "$dir/$marker.new" && mv "$dir/$marker.new" "$dir/$marker" ||
      { rm -f "$dir/$marker.new"; exit 79; }
  fi
  mkdir -p "$dir/repo" || exit 79
fi
if [ -d "$dir" ]; then cd -P "$dir" && absolute=$(pwd -P) || exit 79; fi
if [ -e "$dir/$incomplete" ]; then printf 'incomplete 1\\n'; fi
foreign=
if [ -f "$dir/$record" ]; then
  printf 'record '; head -c 65536 "$dir/$record" | tr '\\n' ' '; printf '\\n'
  owner=$(sed -n 's/.*"origin": *"\\([0-9a-f]*\\)".*/\\1/p' "$dir/$record")
  if [ -n "$origin" ] && [ -n "$owner" ] && [ "$owner" != "$origin" ]; then foreign=1; printf 'foreign 1\\n'; fi
fi
if command -v rsync >/dev/null 2>&1; then
  printf 'rsync %s\\n' "$(rsync --version 2>/dev/null | sed -n 1p)"
  if [ "$mode" = sync ] && [ -z "$foreign" ]; then
    put_incomplete "$dir/$incomplete" || exit 79
    if [ -n "$(find "$dir/$record" "$dir/builds" -newer "$dir/$incomplete" -print 2>/dev/null)" ]; then
      python3 -E -S -c "$move" "$dir/repo" "$dir/target" "$dir/builds" "$dir/$record" || exit 79
    fi
  fi
fi
printf 'free %s\\n' "$(stat -f -c '%a %S' . 2>/dev/null)"
printf 'mount %s\\n' "$(df -P . 2>/dev/null | sed -n '2s/.*% *//p')"
printf 'dir %s' "$absolute"
"""
)


@dataclass(frozen=True)
class ProjectDir:
    """A project's folder as the host describes it.

    `rsync` is the first line of its `--version` ("" where there is none). `record` is the content of sync.json, ""
    where there is none. `interrupted`: a sync began and never came to its end. `foreign`: the record is of another
    origin, and the folder was left as it is.
    """

    path: str
    rsync: str
    record: str
    interrupted: bool
    foreign: bool
    free_bytes: int | None
    mount: str

    @property
    def repo(self) -> str:
        """The synced repository, absolute."""
        return posixpath.join(self.path, "repo")


def check_root(paths: HostPaths) -> None:
    """Raise RefusedError for a root that can be no folder of ours, whatever the host is like."""
    root = paths.root
    if not root.strip():
        raise RefusedError(
            "the project has no folder on this host", "`root` is empty", "leave `root` out, or name a folder"
        )
    begins_well = root == "~" or root.startswith(("~/", "/"))
    if not begins_well or root.strip("/.") == "" or ".." in root.split("/") or "\n" in root or "\0" in root:
        raise RefusedError(
            f"{root!r} is no folder for projects",
            "a root begins with `/` or `~/`, has no `..` in it, and is not `/` itself",
            "leave `root` out: the default is ~/.sltfleet",
        )


def prepare_script(paths: HostPaths, incomplete: bytes, origin: str) -> Script:
    """Return the script that makes and marks the folder and, where rsync is there, writes `sync.incomplete`.

    `origin` is the digest of the only origin whose folder may be synced, "" for any. Raises RefusedError.
    """
    return _script(paths, "sync", incomplete, origin)


def look_script(paths: HostPaths, origin: str) -> Script:
    """Return the script that only looks: nothing is made, nothing is changed. Raises RefusedError."""
    return _script(paths, "look", b"", origin)


def _script(paths: HostPaths, mode: str, incomplete: bytes, origin: str) -> Script:
    check_root(paths)
    names = (MARKER_NAME, SYNC_INCOMPLETE_NAME, SYNC_RECORD_NAME)
    args = (paths.root, paths.project, *names, mode, origin, _MOVE_INTO_THE_PAST)
    marker = paths.project.encode("utf-8", "surrogateescape") + b"\n"
    return Script(_BODY, args, files=(("incomplete", incomplete), ("marker", marker)))


def parse_project_dir(stdout: str) -> ProjectDir:
    """Return what the script found. Raises HostError for an answer that it cannot have given."""
    head, mark, path = ("\n" + stdout).rpartition("\ndir ")
    if not mark or not path.startswith("/") or "\0" in path or "\n" in path:
        raise HostError(
            "the project's folder could not be looked at",
            "the host's answer is damaged",
            "`sltfleet doctor` checks the host",
            detail=stdout[:500],
        )
    fields = dict(line.split(" ", 1) for line in head.split("\n") if " " in line)
    free = re.fullmatch(r"([0-9]{1,18}) ([0-9]{1,18})", fields.get("free", ""))
    record = fields.get("record", "").strip()
    return ProjectDir(
        path=path,
        rsync=fields.get("rsync", ""),
        record=record if len(record) < MAX_RECORD_BYTES else "",
        interrupted="incomplete" in fields,
        foreign="foreign" in fields,
        free_bytes=int(free[1]) * int(free[2]) if free else None,
        mount=fields.get("mount", ""),
    )


def prepare_failure(paths: HostPaths, exit_code: int, stderr: str) -> FleetError:
    """Return the error for a script that ended with `exit_code` (not 0)."""
    if exit_code in _PROBLEMS:
        why, fix = _PROBLEMS[exit_code]
        return RefusedError(f"{paths.project_dir} is not used", why, fix)
    if is_disk_full(stderr):
        return disk_full(stderr, SyncError)
    reason = stderr.strip().splitlines()
    why = reason[-1] if reason else f"the script ended with exit code {exit_code}"
    return HostError(f"cannot make {paths.project_dir}", why, "give the host a `root` where you may write")
