"""What `clean` would delete, as a pure plan from sizes, ages and `now`; and the scripts: one lists, one deletes.

Both begin with the same guard, so what was true when the plan was made is checked again before the first file goes: the
folder is no link, not the home folder or above it, the user's own, and marked by this very project. Deleted are only
names that this module makes: `runs/<run id>`, `target`, `builds`, or the whole marked folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sltfleet.core.errors import ActiveRunError, HostError, RefusedError, UsageError
from sltfleet.core.paths import MARKER_NAME, HostPaths
from sltfleet.core.project_dir import check_root
from sltfleet.core.runid import is_run_id, started_at_s
from sltfleet.core.shell import ROOT_PRELUDE, Script

#: A run's folder in the shell's patterns, as core.runid has it.
_RUN_PATTERN = "runs/" + "[0-9]" * 8 + "-" + "[0-9]" * 6 + "-" + "[0-9a-f]" * 6

#: The build record goes with what it describes.
_TARGET_NAMES = ("target", "builds")

_ABSENT, _ACTIVE = 71, 79
_PROBLEMS = {
    70: "there is no home folder for a path that begins with `~`",
    72: "a link is in its place",
    73: "it is no folder",
    74: "it is the root folder, the home folder, or the home folder lies in it",
    75: "it belongs to another user",
    76: "it has no marker of sltfleet's",
    77: "its marker names another project",
    78: "it cannot be entered",
}

_GUARD = (
    """\
case $1 in "~"|"~/"*) [ -n "${HOME:-}" ] || exit 70 ;; esac
"""
    + ROOT_PRELUDE
    + """\
marker=$1 project=$2; shift 2
while :; do case $root in ?*/) root=${root%/} ;; *) break ;; esac; done
case $root in /*) ;; "") exit 74 ;; *) root=./$root ;; esac
[ ! -L "$root" ] || exit 72
[ -e "$root" ] || exit 71
[ -d "$root" ] || exit 73
cd -P "$root" || exit 78
place=$(pwd -P; echo .); place=${place%??}
home=$(cd -P "${HOME:-/}" 2>/dev/null && pwd -P; echo .); home=${home%??}
case $place in ""|/) exit 74 ;; esac
case $home/ in "$place"/*) exit 74 ;; esac
[ -O . ] || exit 75
[ -f "$marker" ] && [ ! -L "$marker" ] || exit 76
[ "$(cat "$marker")" = "$project" ] || exit 77
[ ! -L runs ] || exit 72
"""
)

#: A run is active while its runner lives, known by boot id, pid and start ticks (field 22 of /proc/PID/stat), or while
#: somebody holds one of the locks. Not every host has flock(1): the identities are there in any case.
_ACTIVITY = """\
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
alive() {
  { read -r id_boot id_pid id_ticks <"$1"; } 2>/dev/null || return 1
  case $id_pid in ""|*[!0-9]*) return 1 ;; esac
  [ "$id_boot" = "$boot" ] && stat=$(cat "/proc/$id_pid/stat" 2>/dev/null) || return 1
  set -f; set -- ${stat##*")"}; set +f
  case $1 in [ZXx]) return 1 ;; esac
  [ "${20}" = "$id_ticks" ]
}
held() { command -v flock >/dev/null && [ -f "$1" ] && [ ! -L "$1" ] && ! flock -n "$1" true; }
active() {
  for run in RUN_PATTERN; do
    if alive "$run/identity"; then printf 'active\\t%s\\n' "${run#runs/}"; return 0; fi
  done
  if held run.lock || held launch.lock; then printf 'active\\t\\n'; return 0; fi
  return 1
}
""".replace("RUN_PATTERN", _RUN_PATTERN)

#: In one call, du counts a file with several links where it first meets it. A run's tree is links into the repo, so the
#: repo comes first; and then the newest run, so that an older one's size is what its deletion frees.
_LIST = (
    _GUARD
    + _ACTIVITY
    + """\
what=$1
active && exit 0
set --
for name in RUN_PATTERN; do
  if [ -d "$name" ] && [ ! -L "$name" ]; then set -- "$name" "$@"; fi
done
for name in builds target repo; do
  if [ -d "$name" ] && [ ! -L "$name" ]; then set -- "$name" "$@"; fi
done
if [ "$what" = all ]; then set -- .; fi
if [ $# -gt 0 ]; then du -sk "$@" 2>/dev/null; fi
printf 'end\\n'
""".replace("RUN_PATTERN", _RUN_PATTERN)
)

_DELETE = (
    _GUARD
    + _ACTIVITY
    + """\
active && exit 79
# From here on no run can be launched: the launcher wants this lock, too.
if command -v flock >/dev/null && [ ! -L launch.lock ]; then
  exec 9>>launch.lock && flock -n 9 || exit 79
  if held run.lock; then exit 79; fi
fi
remove() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  rm -rf "./$1" 2>/dev/null && return 0
  # Tests make folders that even their owner may not empty.
  find "./$1" -type d -exec chmod u+rwx {} \\; 2>/dev/null
  rm -rf "./$1"
}
if [ "$1" = . ]; then
  for name in .[!.]* ..?* *; do
    [ "$name" = "$marker" ] || remove "$name" || exit 1
  done
  # The marker goes last: what is left after an interruption can be cleaned again.
  rm -f "$marker" && cd / && rmdir "$place" && printf 'deleted\\t.\\n'
  exit
fi
for name in "$@"; do
  case $name in
    target|builds|RUN_PATTERN) remove "$name" && printf 'deleted\\t%s\\n' "$name" ;;
    *) exit 64 ;;
  esac
done
# A host whose newest run is gone has none to tell of.
if read -r current <current && [ ! -d "runs/$current" ]; then rm -f current; fi 2>/dev/null
exit 0
""".replace("RUN_PATTERN", _RUN_PATTERN)
)


@dataclass(frozen=True)
class CleanRequest:
    """What a person wants gone.

    Runs: all but the `keep` newest, or those that started more than `older_than_s` seconds ago; with both, only those
    that neither rule protects. `target`: the build's folder. `everything`: the whole project folder.
    """

    keep: int | None = None
    older_than_s: float | None = None
    target: bool = False
    everything: bool = False

    def check(self) -> None:
        """Raise UsageError where nothing is asked for, or things that do not fit together."""
        some = self.keep is not None or self.older_than_s is not None or self.target
        if not some and not self.everything:
            raise UsageError("nothing to clean was named", fix="name --keep N, --older-than D, --target or --all")
        if some and self.everything:
            raise UsageError("--all does not go with --keep, --older-than or --target", fix="leave one of them out")
        if self.keep is not None and self.keep < 0:
            raise UsageError("--keep cannot be negative", fix="--keep 0 keeps no run")


@dataclass(frozen=True)
class Listing:
    """What lies in a project's folder: bytes per name (`target`, `runs/<id>`, `.` for all of it).

    `active` is the id of the run that is active ("" where only its lock is known), None where there is none.
    """

    sizes_bytes: dict[str, int]
    active: str | None = None


@dataclass(frozen=True)
class Deletion:
    """One name below the project's folder, what deleting it frees at most, and why it goes."""

    name: str
    size_bytes: int
    why: str


@dataclass(frozen=True)
class CleanPlan:
    """What would be deleted in one place (a project folder on a host, or `.sltfleet` here), and the runs that stay."""

    place: str
    deletions: tuple[Deletion, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What it frees, at most: files may have further links elsewhere."""
        return sum(deletion.size_bytes for deletion in self.deletions)


def list_script(paths: HostPaths, request: CleanRequest) -> Script:
    """Return the script that lists what could be deleted. Raises RefusedError for a path that no project can have."""
    return Script(_LIST, (*_guard_args(paths), "all" if request.everything else "parts"))


def delete_script(paths: HostPaths, plan: CleanPlan) -> Script:
    """Return the script that does what the plan says. Raises RefusedError for a path that no project can have."""
    return Script(_DELETE, (*_guard_args(paths), *(deletion.name for deletion in plan.deletions)))


def parse_listing(output: str) -> Listing:
    """Return what the script listed; names that are none of ours are dropped. Raises HostError for half an answer."""
    sizes: dict[str, int] = {}
    ended = False
    for line in output.split("\n"):
        word, _, name = line.partition("\t")
        if word == "active":
            return Listing({}, name if is_run_id(name) else "")
        if word == "end":
            ended = True
        elif word.isascii() and word.isdecimal() and len(word) < 16 and _is_ours(name):
            sizes[name] = int(word) * 1024
    if not ended:
        raise HostError("the project's folder could not be listed", "the host's answer is incomplete", "try it again")
    return Listing(sizes)


def parse_deleted(output: str) -> tuple[str, ...]:
    """Return the names that the script deleted."""
    rows = (line.partition("\t") for line in output.split("\n"))
    return tuple(name for word, _, name in rows if word == "deleted" and _is_ours(name))


def is_absent(exit_code: int) -> bool:
    """Whether the script ended because there is no project folder: nothing to clean, and no failure."""
    return exit_code == _ABSENT


def refusal(paths: HostPaths, exit_code: int) -> RefusedError | ActiveRunError | None:
    """Return the error that a script's exit code stands for, None where it is none of the guard's."""
    if exit_code == _ACTIVE:
        return active_error("")
    if exit_code in _PROBLEMS:
        what = f"nothing was deleted in {paths.project_dir or repr('')}"
        return RefusedError(
            what, _PROBLEMS[exit_code], "look at `root` and `project` in fleet.yaml, and at that folder"
        )
    return None


def active_error(run_id: str) -> ActiveRunError:
    """Return the error that says that a run is active."""
    return ActiveRunError(
        "nothing is deleted while a run is active",
        f"run {run_id}" if run_id else "a run, its launch or another clean holds the project's lock",
        "wait for its end, or `sltfleet stop`",
    )


def plan_clean(place: str, listing: Listing, request: CleanRequest, now_s: float) -> CleanPlan:
    """Return what `request` deletes at `now_s` (seconds since the epoch). Raises ActiveRunError and UsageError."""
    request.check()
    if listing.active is not None:
        raise active_error(listing.active)
    if request.everything:
        total = listing.sizes_bytes.get(".")
        return CleanPlan(place, () if total is None else (Deletion(".", total, "the whole project folder"),))
    runs = [name.removeprefix("runs/") for name in listing.sizes_bytes if name.startswith("runs/")]
    doomed = expired_runs(runs, request, now_s)
    deletions = [Deletion(f"runs/{run}", listing.sizes_bytes[f"runs/{run}"], why) for run, why in doomed.items()]
    if request.target:
        names = (name for name in _TARGET_NAMES if name in listing.sizes_bytes)
        deletions += [Deletion(name, listing.sizes_bytes[name], "the build") for name in names]
    return CleanPlan(place, tuple(deletions), tuple(sorted(run for run in runs if run not in doomed)))


def expired_runs(runs: Iterable[str], request: CleanRequest, now_s: float) -> dict[str, str]:
    """Return the runs that go, oldest first, with the reason; a run id whose date is none has no age."""
    oldest_first = sorted(run for run in runs if is_run_id(run))
    if request.keep is None and request.older_than_s is None:
        return {}
    surplus = oldest_first[: max(0, len(oldest_first) - request.keep)] if request.keep is not None else oldest_first
    found: dict[str, str] = {}
    for run in surplus:
        age_s = _age_s(run, now_s)
        if request.older_than_s is None:
            found[run] = f"not among the {request.keep} newest"
        elif age_s is not None and age_s > request.older_than_s:
            found[run] = f"{age_s / 86400:.1f} days old"
    return found


def _age_s(run_id: str, now_s: float) -> float | None:
    started_s = started_at_s(run_id)
    return None if started_s is None else now_s - started_s


def _guard_args(paths: HostPaths) -> tuple[str, ...]:
    check_root(paths)
    return (paths.project_dir, MARKER_NAME, paths.project)


def _is_ours(name: str) -> bool:
    return name in (".", *_TARGET_NAMES) or (name.startswith("runs/") and is_run_id(name.removeprefix("runs/")))
