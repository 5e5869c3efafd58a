"""The one script that asks a host everything that doctor and setup want to know, and the parser of what it prints.

It prints lines of `KEY<TAB>FIELD<TAB>…`. A tool that is missing is a fact, not a failure, and so is a value that makes
no sense. The script's text is in `core.probe_shell`; judging is left to `core.diagnosis`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

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
from sltfleet.core.probe_shell import PROBE
from sltfleet.core.shell import Script

#: A cold cargo shim or a dead network home takes seconds; a host that needs longer is not fit for a run.
PROBE_TIMEOUT_S = 90.0

#: Where rustup, its Docker image and distributions put cargo. Without a terminal only the last is on PATH.
CARGO_PLACES = ("$CARGO_HOME/bin", "~/.cargo/bin", "/usr/local/cargo/bin", "$PATH", "/usr/bin", "/usr/local/bin")

#: Where the launcher looks for python3, in its order; the last ones, by their names, for a run with a queue only.
PYTHON_PLACES = ("/usr/bin", "/usr/local/bin", "$PATH", *(f"python3.{minor}" for minor in range(14, 9, -1)))

#: Used by our scripts on the hosts.
UTILITIES = ("awk", "base64", "cp", "date", "df", "du", "find", "head", "mktemp", "sha256sum", "tail", "wc")

#: Asked for by `command -v` alone; what they are good for is known to `core.diagnosis` and `core.installing`.
_OTHERS = ("setsid", "flock", "curl", "make", "sudo", "apt-get", "dnf", "apk", "pacman", "systemd-run")

#: What the runner imports and a stripped-down python3 may lack.
_MODULES = "ctypes dataclasses fcntl hashlib json random select shutil signal subprocess zlib"


def probe_script(paths: HostPaths, environment: Mapping[str, str]) -> Script:
    """Return the script that asks for everything; the first line it prints is the host's clock.

    `environment` is what fleet.yaml sets for builds on this host: another PATH or CARGO_HOME finds other programs.
    """
    words = (MARKER_NAME, " ".join(UTILITIES), " ".join(_OTHERS), _MODULES)
    variables = [f"{name}={value}" for name, value in environment.items()]
    places = (*PYTHON_PLACES, "--", *CARGO_PLACES)
    return Script(PROBE, (paths.project_dir, *words, str(len(variables)), *variables, *places))


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
    mounts = answer.rows("mount", 3)
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
    numbers = [_integer(part) for part in version.split(".")]
    return Python(path, tuple(number for number in numbers if number is not None), tuple(missing))


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
    found = {match[1]: match[2] for match in map(_LIMIT.match, answer.texts("limit")) if match}
    return Limits(
        processes=_integer(found.get("Max processes", "")),
        open_files=_integer(found.get("Max open files", "")),
        tasks=_smallest(answer.texts("tasks_max")),
        pid_max=_integer(answer.text("pid_max")),
    )
