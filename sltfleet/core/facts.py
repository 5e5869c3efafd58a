"""What is known of a host, as values: `core.probe` finds it out, `core.diagnosis` judges, `core.installing` acts on it.

Everything a host does not tell is None, empty or False: a missing tool is a fact, never a failure. Sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What the runner's code is written for.
OLDEST_PYTHON = (3, 8)
#: What the client of a shared queue is written for.
OLDEST_QUEUE_PYTHON = (3, 10)

#: absent: nothing there yet. marked: ours, by its marker. foreign: another project's. unmarked: without a marker.
#: link: a symbolic link. other: no folder at all.
FolderState = Literal["absent", "marked", "foreign", "unmarked", "link", "other"]


@dataclass(frozen=True)
class Program:
    """A command that is there: its path, and the first line that it says of its version ("" where it was not asked)."""

    path: str
    version: str = ""


@dataclass(frozen=True)
class Python:
    """A python3: `version` as numbers, () where it does not even start; `missing` modules that the runner imports."""

    path: str
    version: tuple[int, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cargo:
    """A cargo where rustup or a distribution puts one. `says` is its version, or why `cargo --version` failed."""

    path: str
    works: bool
    says: str


@dataclass(frozen=True)
class Compiler:
    """A C compiler, which rustc needs as its linker. `says` is why it could not link a one-line program, else ""."""

    name: str
    path: str
    links: bool
    says: str = ""


@dataclass(frozen=True)
class Cores:
    """`online` in the machine; `allowed` by the affinity mask and cpuset; `quota`, in cores, by the cgroups above."""

    online: int | None = None
    allowed: int | None = None
    quota: float | None = None

    @property
    def usable(self) -> float | None:
        """The cores that can really be used, None where none of the three is known."""
        known = [float(count) for count in (self.online, self.allowed, self.quota) if count is not None]
        return min(known, default=None)


@dataclass(frozen=True)
class Memory:
    """`limit_bytes` is the smallest limit of the cgroups above."""

    total_bytes: int | None = None
    available_bytes: int | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True)
class ProjectFolder:
    """The project's folder. `nearest` is itself or its first parent that exists; `marker` what the marker file says."""

    state: FolderState
    nearest: str
    writable: bool
    marker: str = ""


@dataclass(frozen=True)
class Filesystem:
    """Where the project's folder is, or would be. None and "" where df or /proc/self/mounts did not tell."""

    mount: str = ""
    kind: str = ""
    options: tuple[str, ...] = ()
    free_bytes: int | None = None
    free_inodes: int | None = None


@dataclass(frozen=True)
class Logout:
    """What becomes of a user's processes at logout, see logind.conf(5) on KillUserProcesses.

    `kills` is about this very user: KillOnlyUsers and KillExcludeUsers (root unless set) are taken into account.
    """

    kills: bool = False
    linger: bool = False
    user_manager: bool = False


@dataclass(frozen=True)
class Limits:
    """None: no limit, or not known. `tasks` is the smallest pids.max of the cgroups above."""

    processes: int | None = None
    open_files: int | None = None
    tasks: int | None = None
    pid_max: int | None = None


@dataclass(frozen=True)
class HostFacts:
    """One host, as one round trip found it. `clock_s` is its wall clock, in seconds since the epoch."""

    system: str
    kernel: str
    arch: str
    distribution: str
    distribution_name: str
    libc: str
    boot_id: str
    clock_s: float | None
    user: str
    is_root: bool
    can_sudo: bool
    home: str
    noise: str
    project: ProjectFolder
    filesystem: Filesystem
    programs: dict[str, Program]
    hard_links: bool
    certificates: bool
    pythons: tuple[Python, ...]
    cargos: tuple[Cargo, ...]
    rustup: Program | None
    compilers: tuple[Compiler, ...]
    cores: Cores
    load: tuple[float, ...]
    memory: Memory
    logout: Logout
    limits: Limits

    @property
    def python(self) -> Python | None:
        """The python3 that the runner would be started with."""
        return self.python_since(OLDEST_PYTHON)

    def python_since(self, oldest: tuple[int, ...]) -> Python | None:
        """The first python3 that is new enough, else the first."""
        new_enough = [python for python in self.pythons if python.version >= oldest]
        return next(iter(new_enough or self.pythons), None)

    @property
    def cargo(self) -> Cargo | None:
        """The first cargo that works."""
        return next((cargo for cargo in self.cargos if cargo.works), None)

    @property
    def linker(self) -> Compiler | None:
        """The compiler that rustc calls unless it is told otherwise, where it can link."""
        return next((compiler for compiler in self.compilers if compiler.name == "cc" and compiler.links), None)
