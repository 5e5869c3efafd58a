"""The one script that asks a host everything that doctor and setup want to know, and the parser of what it prints.

The script needs `sh` and nothing else: every tool beyond it may be missing (busybox, a bare container) and then is a fact.
It changes nothing but a temporary folder of its own, which it removes. What it prints is lines of `KEY<TAB>FIELD<TAB>…`; tabs
and newlines inside a field have become spaces. Judging is left to `core.diagnosis`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from sltfleet.core.errors import HostError
from sltfleet.core.facts import (
    Cargo,
    Compiler,
    Cores,
    Filesystem,
    FolderState,
    HostFacts,
    Limits,
    Logout,
    Memory,
    Program,
    ProjectFolder,
    Python,
)
from sltfleet.core.paths import MARKER_NAME, HostPaths
from sltfleet.core.shell import ROOT_PRELUDE, Script

#: A cold cargo shim or a dead network home takes seconds; a host that needs longer is not fit for a run.
PROBE_TIMEOUT_S = 90.0

#: Where rustup, its Docker image and distributions put cargo. Non-interactive sessions have none of them on PATH but the last.
CARGO_PLACES = ("$CARGO_HOME/bin", "~/.cargo/bin", "/usr/local/cargo/bin", "$PATH", "/usr/bin")

#: Used by our scripts on the hosts.
UTILITIES = ("awk", "base64", "cp", "date", "df", "du", "find", "head", "mktemp", "nohup", "sha256sum", "tail", "wc")

#: Asked for by `command -v` alone; what they are good for is known to `core.diagnosis` and `core.installing`.
_OTHERS = ("setsid", "flock", "curl", "make", "sudo", "apt-get", "dnf", "apk", "pacman", "systemd-run")

#: What the runner imports and a stripped-down python3 may lack.
_MODULES = "ctypes dataclasses fcntl hashlib json random selectors shutil signal zlib"

_HELPERS = r"""
tab=$(printf '\t')
newline='
'
say() {
  line=$1; shift
  for field in "$@"; do
    set -f; IFS=$tab$newline
    set -- $field
    IFS=' '
    line=$line$tab$*
    unset IFS; set +f
  done
  printf '%s\n' "$line"
}
first_line() { printf '%s' "${1%%"$newline"*}"; }
lines() {
  [ -r "$2" ] || return 0
  while IFS= read -r text || [ -n "$text" ]; do
    case $text in ${3:-*}) say "$1" "$text" ;; esac
  done 2>/dev/null <"$2"
}
if timeout 20 true 2>/dev/null; then limited() { timeout 20 "$@"; }; else limited() { "$@"; }; fi
have() { for name in "$@"; do path=$(command -v "$name") && say have "$name" "$path"; done; }
scratch=$(mktemp -d 2>/dev/null) && trap 'rm -rf -- "$scratch"' EXIT
"""

_SYSTEM = r"""
say clock "$(date +%s.%N)"
say system "$(uname -s)" "$(uname -r)" "$(uname -m)"
lines release /etc/os-release 'ID=*'
lines release /etc/os-release 'PRETTY_NAME=*'
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || for file in /lib/ld-musl-*; do [ -e "$file" ] && libc=musl; done
say libc "$libc"
say boot "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
user=$(id -un)
say user "$user" "$(id -u)" "$HOME"
limited sudo -n true >/dev/null 2>&1 && say sudo yes
lines load /proc/loadavg
lines memory /proc/meminfo 'Mem*'
lines status /proc/self/status 'Cpus_allowed_list:*'
lines online /sys/devices/system/cpu/online
lines limit /proc/self/limits 'Max [po]*'
say pid_max "$(cat /proc/sys/kernel/pid_max 2>/dev/null)"
upwards() {
  base=$1; path=${2%/}; shift 2
  while [ -d "$base" ]; do
    for pair in "$@"; do lines "${pair%=*}" "$base$path/${pair#*=}"; done
    [ -n "$path" ] || break
    path=${path%/*}
  done
}
if [ -r /proc/self/cgroup ]; then
  while IFS=: read -r number controllers path; do
    for top in /sys/fs/cgroup "/sys/fs/cgroup/${controllers:-unified}"; do
      case ,$controllers, in
        ,,) upwards "$top" "$path" cpu_max=cpu.max memory_max=memory.max tasks_max=pids.max ;;
        *,cpu,*) upwards "$top" "$path" cpu_quota=cpu.cfs_quota_us cpu_period=cpu.cfs_period_us ;;
        *,memory,*) upwards "$top" "$path" memory_max=memory.limit_in_bytes ;;
        *,pids,*) upwards "$top" "$path" tasks_max=pids.max ;;
      esac
    done
  done </proc/self/cgroup
fi
if [ -d /run/systemd/seats ]; then
  for file in /usr/lib/systemd/logind.conf /etc/systemd/logind.conf /usr/lib/systemd/logind.conf.d/*.conf \
    /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf; do lines logind "$file" 'Kill*'; done
fi
[ -e "/var/lib/systemd/linger/$user" ] && say linger yes
limited systemctl --user show-environment >/dev/null 2>&1 && say user_manager yes
"""

_FOLDER = r"""
near=$root
while [ ! -e "$near" ]; do case $near in /*/*) near=${near%/*} ;; /*) near=/ ;; *) near=. ;; esac; done
state=absent; marker=
if [ -L "$root" ]; then state=link
elif [ -f "$root/$marker_name" ]; then state=marked; read -r marker <"$root/$marker_name"
elif [ -d "$root" ]; then state=unmarked
elif [ -e "$root" ]; then state=other; fi
writable=no; [ -d "$near" ] && [ -w "$near" ] && [ -x "$near" ] && writable=yes
say folder "$state" "$near" "$writable" "$marker"
disk=$(df -Pk "$near" 2>/dev/null) && say disk "${disk##*"$newline"}"
inodes=$(df -Pi "$near" 2>/dev/null) && say inodes "${inodes##*"$newline"}"
physical=$(cd -P "$near" 2>/dev/null && pwd -P)
if [ -r /proc/self/mounts ]; then
  while read -r device mount kind options rest; do
    mount=$(printf '%b' "$mount")
    case ${physical%/}/ in "${mount%/}"/*) say mount "$mount" "$kind" "$options" ;; esac
  done </proc/self/mounts
fi
"""

_PROGRAMS = r"""
have $utilities $others
for name in rsync pkg-config; do
  path=$(command -v "$name") && say have "$name" "$path" "$(first_line "$(limited "$path" --version 2>&1)")"
done
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
  [ -s "$file" ] && say certificates "$file"
done
if [ -n "$scratch" ]; then
  : >"$scratch/one"; cp -al "$scratch/one" "$scratch/two" 2>/dev/null && say hard_links yes
  printf 'int main(void) { return 0; }\n' >"$scratch/probe.c"
fi
check='
import sys
missing = []
for name in sys.argv[1:]:
    try:
        __import__(name)
    except Exception:
        missing.append(name)
print("%d.%d.%d" % sys.version_info[:3] + " " + " ".join(missing))
'
seen=$newline
new() { case $seen in *"$newline$1$newline"*) return 1 ;; esac; seen=$seen$1$newline; [ -x "$1" ]; }
for path in /usr/bin/python3 /usr/local/bin/python3 "$(command -v python3)"; do
  new "$path" && say python "$path" "$(limited "$path" -E -S -c "$check" $modules 2>/dev/null)"
done
for name in cc gcc clang; do
  path=$(command -v "$name") || continue
  output=$(limited "$path" -o "$scratch/probe" "$scratch/probe.c" 2>&1); status=$?
  say compiler "$name" "$path" "$status" "$(first_line "$output")"
done
for place in "$@"; do
  case $place in
    '$CARGO_HOME/bin') [ -n "$CARGO_HOME" ] || continue; path=$CARGO_HOME/bin/cargo ;;
    '$PATH') path=$(command -v cargo) || continue ;;
    '~/'*) path=$HOME/${place#??}/cargo ;;
    *) path=$place/cargo ;;
  esac
  new "$path" || continue
  output=$(limited "$path" --version 2>&1); status=$?
  say cargo "$path" "$status" "$(first_line "$output")"
  rustup=${path%/*}/rustup
  new "$rustup" && say rustup "$rustup" "$(first_line "$(limited "$rustup" --version 2>/dev/null)")"
done
say end
"""

#: rustup would download a toolchain that is chosen but not installed, only to say its version.
_SETTINGS = """\
marker_name=$1 utilities=$2 others=$3 modules=$4; shift 4
RUSTUP_AUTO_INSTALL=0; export RUSTUP_AUTO_INSTALL
"""

_PROBE = ROOT_PRELUDE + _SETTINGS + _HELPERS + _SYSTEM + _FOLDER + _PROGRAMS


def probe_script(paths: HostPaths, cargo_places: tuple[str, ...] = CARGO_PLACES) -> Script:
    """Return the script that asks for everything; the first line it prints is the host's clock."""
    words = (MARKER_NAME, " ".join(UTILITIES), " ".join(_OTHERS), _MODULES)
    return Script(_PROBE, (paths.project_dir, *words, *cargo_places))


class _Answer:
    """The lines by their key. Nothing in them is believed beyond its place in the format."""

    def __init__(self, output: str) -> None:
        self._rows: dict[str, list[list[str]]] = {}
        # Not splitlines(): a form feed or a line separator inside a field is the field's own.
        for line in output.split("\n"):
            key, *fields = line.split("\t")
            self._rows.setdefault(key, []).append(fields)

    def rows(self, key: str, width: int) -> list[list[str]]:
        """Every line of `key`, each filled up with "" or cut to `width` fields."""
        return [(fields + [""] * width)[:width] for fields in self._rows.get(key, [])]

    def row(self, key: str, width: int) -> list[str]:
        """The first line of `key`, or fields that are all empty."""
        return next(iter(self.rows(key, width)), [""] * width)

    def texts(self, key: str) -> list[str]:
        """The first field of every line of `key`."""
        return [row[0] for row in self.rows(key, 1)]

    def text(self, key: str) -> str:
        """The first field of the first line of `key`."""
        return self.row(key, 1)[0]

    def __contains__(self, key: str) -> bool:
        return key in self._rows


def parse_probe(output: str, noise: str, project: str) -> HostFacts:
    """Return what the script printed as facts; `project` is the name that the marker must hold.

    `noise` is CommandResult.noise. Raises HostError where the answer breaks off before its end.
    """
    answer = _Answer(output)
    if "end" not in answer:
        raise HostError(
            "the host's answer to the probe is incomplete",
            "the shell or the connection ended before the last question",
            "run `sltfleet doctor` again with -v; log in by hand and look for a full disk or a shell that exits early",
            detail=output[-2000:],
        )
    system, kernel, arch = answer.row("system", 3)
    user, uid, home = answer.row("user", 3)
    release = _assignments(answer.texts("release"))
    return HostFacts(
        system=system,
        kernel=kernel,
        arch=arch,
        distribution=release.get("ID", ""),
        distribution_name=release.get("PRETTY_NAME", ""),
        libc=answer.text("libc"),
        boot_id=answer.text("boot"),
        clock_s=_clock(answer.text("clock")),
        user=user,
        is_root=uid == "0",
        can_sudo="sudo" in answer,
        home=home,
        noise=noise,
        project=_project_folder(answer, project),
        filesystem=_filesystem(answer),
        programs={name: Program(path, version) for name, path, version in answer.rows("have", 3)},
        hard_links="hard_links" in answer,
        certificates="certificates" in answer,
        pythons=tuple(_python(path, says) for path, says in answer.rows("python", 2)),
        cargos=tuple(Cargo(path, status == "0", says) for path, status, says in answer.rows("cargo", 3)),
        rustup=next((Program(path, says) for path, says in answer.rows("rustup", 2)), None),
        compilers=tuple(
            Compiler(name, path, status == "0", "" if status == "0" else says)
            for name, path, status, says in answer.rows("compiler", 4)
        ),
        cores=_cores(answer),
        load=tuple(float(word) for word in answer.text("load").split()[:3] if _NUMBER.fullmatch(word)),
        memory=_memory(answer),
        logout=_logout(answer, user),
        limits=_limits(answer),
    )


_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")

#: The columns of `df -P` after the file system's name, which may have spaces, as may the mount point.
_DF_COLUMNS = re.compile(r"\s(\d{1,18}|-)\s+(\d{1,18}|-)\s+(-?\d{1,18}|-)\s+(?:\d+%|-)\s+(/.*)$")

_LIMIT = re.compile(r"(Max processes|Max open files)\s+(\d{1,19})\s")

#: cgroup v1 says "no limit" by the largest number of whole pages.
_NO_LIMIT_BYTES = 1 << 62


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,19}", text) else None


def _smallest(texts: Iterable[str], below: int = 1 << 63) -> int | None:
    found = [number for number in map(_integer, texts) if number is not None and number < below]
    return min(found, default=None)


def _clock(text: str) -> float | None:
    """`date +%s.%N`: a date without %N prints the letter, or nothing, behind the point."""
    found = _NUMBER.match(text)
    return float(found.group()) if found else None


def _assignments(lines: Iterable[str]) -> dict[str, str]:
    """`KEY=value` lines, the last of a key counts; the value quoted as a shell would (os-release(5)) or not at all."""
    found: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals or key.lstrip().startswith("#"):
            continue
        try:
            found[key.strip()] = " ".join(shlex.split(value))
        except ValueError:
            found[key.strip()] = value.strip()
    return found


def _project_folder(answer: _Answer, project: str) -> ProjectFolder:
    said, nearest, writable, marker = answer.row("folder", 4)
    states: dict[str, FolderState] = {"marked": "marked", "unmarked": "unmarked", "link": "link", "other": "other"}
    state = states.get(said, "absent")
    if state == "marked" and marker != project:
        state = "foreign"
    return ProjectFolder(state, nearest, writable == "yes", marker)


def _filesystem(answer: _Answer) -> Filesystem:
    disk = _DF_COLUMNS.search(answer.text("disk"))
    inodes = _DF_COLUMNS.search(answer.text("inodes"))
    kibibytes = _integer(disk.group(3)) if disk else None
    # The deepest mount point counts, and of two at one place the later, which hides the earlier.
    mounts = [row for row in answer.rows("mount", 3)]
    deepest = max((len(row[0]) for row in mounts), default=0)
    mount, kind, options = next((row for row in reversed(mounts) if len(row[0]) == deepest), ["", "", ""])
    total_inodes = _integer(inodes.group(1)) if inodes else None
    return Filesystem(
        mount=mount or (disk.group(4) if disk else ""),
        kind=kind,
        options=tuple(filter(None, options.split(","))),
        free_bytes=kibibytes * 1024 if kibibytes is not None else None,
        # btrfs and others without an inode table say 0 of 0.
        free_inodes=_integer(inodes.group(3)) if inodes and total_inodes else None,
    )


def _python(path: str, says: str) -> Python:
    version, *missing = says.split() or [""]
    numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
    return Python(path, numbers, tuple(missing))


def _cores(answer: _Answer) -> Cores:
    status = dict(line.split(":", 1) for line in answer.texts("status") if ":" in line)
    quotas = [tuple(row.split()) for row in answer.texts("cpu_max")]
    quotas += list(zip(answer.texts("cpu_quota"), answer.texts("cpu_period"), strict=False))
    cores = [
        int(quota) / int(period)
        for quota, period in (pair for pair in quotas if len(pair) == 2)
        if _integer(quota) and _integer(period)
    ]
    return Cores(
        online=_count_cpus(answer.text("online")),
        allowed=_count_cpus(status.get("Cpus_allowed_list", "").strip()),
        quota=min(cores, default=None),
    )


def _count_cpus(text: str) -> int | None:
    """The number of CPUs in a list such as `0-3,8,10-11` (cpuset(7), "List format")."""
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = _integer(first), _integer(last or first)
        if low is None or high is None or high < low:
            return None
        count += high - low + 1
    return count


def _memory(answer: _Answer) -> Memory:
    sizes = dict(line.split(":", 1) for line in answer.texts("memory") if ":" in line)

    def size(name: str) -> int | None:
        kibibytes = _integer(sizes.get(name, "").removesuffix("kB").strip())
        return kibibytes * 1024 if kibibytes is not None else None

    return Memory(size("MemTotal"), size("MemAvailable"), _smallest(answer.texts("memory_max"), _NO_LIMIT_BYTES))


def _logout(answer: _Answer, user: str) -> Logout:
    settings = _assignments(answer.texts("logind"))
    only = settings.get("KillOnlyUsers", "").split()
    exclude = settings.get("KillExcludeUsers", "root").split()
    kills = settings.get("KillUserProcesses", "no").lower() in ("yes", "true", "on", "1", "y", "t")
    return Logout(
        kills=kills and user not in exclude and (not only or user in only),
        linger="linger" in answer,
        user_manager="user_manager" in answer,
    )


def _limits(answer: _Answer) -> Limits:
    found = dict(match.groups() for match in map(_LIMIT.match, answer.texts("limit")) if match)
    return Limits(
        processes=_integer(found.get("Max processes", "")),
        open_files=_integer(found.get("Max open files", "")),
        tasks=_smallest(answer.texts("tasks_max")),
        pid_max=_integer(answer.text("pid_max")),
    )
