"""The single checks of doctor, each a pure function from what is known of a host to a finding (None: nothing to say).

The thresholds are the constants below, with their reasons.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sltfleet.core.facts import OLDEST_PYTHON, OLDEST_QUEUE_PYTHON, HostFacts
from sltfleet.core.findings import Finding, Level, Needs, Skew
from sltfleet.core.installing import Need, install_command
from sltfleet.core.launching import PYTHON_FIX
from sltfleet.core.probe import UTILITIES
from sltfleet.core.shell import join, quote
from sltfleet.core.size import format_size

MIB = 1024 * 1024
GIB = 1024 * MIB

#: rsync 3.1.0 brought --info=progress2, by which a sync shows its progress.
OLDEST_RSYNC = (3, 1)
#: Crates of edition 2024 need Rust 1.85.
EDITION_2024_RUST = (1, 85)
#: A small crate's debug build with its incremental cache; what cargo, tar and logs need to fail in an orderly way.
LOW_DISK_BYTES, NO_DISK_BYTES = 2 * GIB, 200 * MIB
#: A target/ folder has some ten thousand files.
LOW_INODES, NO_INODES = 50_000, 5_000
#: rustc and the linker take about so much for a crate of a few thousand lines.
LOW_MEMORY_BYTES = 1 * GIB
#: More workers than this per core only wait for each other, unless the tests mostly sleep.
WORKERS_PER_CORE = 4
#: Beside its test, an attempt has a shell or a helper process now and then.
PROCESSES_PER_WORKER = 3
#: The runner holds two files open per attempt, and tests open some of their own, each under the same limit.
RUNNER_FILES, FILES_PER_WORKER = 64, 4
MAX_SKEW_S = 60.0
#: Without them no run can be started or watched; the rest is for fetch, clean, and this very check.
REQUIRED_UTILITIES = frozenset(("base64", "date", "head", "sha256sum", "tail", "wc"))


def check_rsync(version: str | None, fix: str) -> Finding:
    """Judge an rsync, here or on a host, by the first line of `rsync --version` (None: there is none)."""
    if version is None:
        return Finding(Level.ERROR, "rsync", "rsync is missing", fix)
    found = _version(version)
    if found and found < OLDEST_RSYNC:
        return Finding(Level.ERROR, "rsync", f"rsync {_dotted(found)} is older than {_dotted(OLDEST_RSYNC)}", fix)
    return Finding(Level.OK, "rsync", f"rsync {_dotted(found)}" if found else version)


@dataclass(frozen=True)
class Asked:
    """What every check sees."""

    host: str
    facts: HostFacts
    needs: Needs
    skew: Skew | None

    @property
    def workers(self) -> int:
        return self.needs.workers or max(1, round(self.facts.cores.usable or 1))

    def setup(self, *needs: Need) -> str:
        """The fix for what `setup` installs."""
        by_hand = install_command(self.facts, needs) if needs else None
        command = f"`sltfleet setup --host {quote(self.host)}`"
        return f"{command}, or there: {by_hand}" if by_hand else command


def _system(asked: Asked) -> Finding:
    facts = asked.facts
    if facts.system != "Linux":
        text = f"this is {facts.system or 'an unknown system'}, and the runner needs Linux"
        return Finding(Level.ERROR, "system", text, "take a Linux host (a virtual machine or a container will do)")
    name = facts.distribution_name or facts.distribution or "Linux"
    return Finding(Level.OK, "system", ", ".join(filter(None, (name, facts.arch, facts.libc))))


def _shell(asked: Asked) -> Finding | None:
    noise = asked.facts.noise.strip()
    if not noise:
        return None
    text = f"the login shell prints {len(noise)} characters before a command runs: {noise.splitlines()[0][:60]!r}"
    fix = "harmless, it is skipped; to end it, let ~/.bashrc print only where `$-` has an `i`"
    return Finding(Level.NOTE, "shell", text, fix)


def _folder(asked: Asked) -> Finding:
    folder, filesystem = asked.facts.project, asked.facts.filesystem
    near = folder.nearest
    if folder.state == "foreign":
        fix = f"give this host another `root:` in fleet.yaml, or the project another name than {folder.marker!r} has"
        return Finding(Level.ERROR, "folder", f"{near} belongs to the project {folder.marker!r}", fix)
    if folder.state == "other":
        return Finding(Level.ERROR, "folder", f"{near} is no folder", "move it away, or set another `root:`")
    if not folder.writable or "ro" in filesystem.options:
        why = f"{filesystem.mount} is mounted read-only" if "ro" in filesystem.options else "not writable"
        fix = f"set another `root:` for this host, or there: sudo chown {quote(asked.facts.user)} {quote(near)}"
        return Finding(Level.ERROR, "folder", f"{near}: {why}", fix)
    if "noexec" in filesystem.options:
        fix = f"set `root:` to another file system, or there: sudo mount -o remount,exec {quote(filesystem.mount)}"
        return Finding(Level.ERROR, "folder", f"{filesystem.mount} is mounted noexec: no test could start", fix)
    if folder.state in ("unmarked", "link"):
        what = "a symbolic link" if folder.state == "link" else "a folder without sltfleet's marker"
        return Finding(Level.WARNING, "folder", f"{near} is {what}: nothing is deleted there", "move it away")
    return Finding(Level.OK, "folder", "ours" if folder.state == "marked" else f"can be made below {near}")


def _rsync(asked: Asked) -> Finding:
    program = asked.facts.programs.get("rsync")
    return check_rsync(program.version if program else None, asked.setup("rsync"))


def _python(asked: Asked) -> Finding:
    wanted = OLDEST_QUEUE_PYTHON if asked.needs.queue else OLDEST_PYTHON
    python = asked.facts.python_since(wanted)
    oldest = _dotted(OLDEST_PYTHON)
    if python is None:
        return Finding(Level.ERROR, "python3", "python3 is missing", asked.setup("python"))
    version = _dotted(python.version) or "without a version"
    if python.version < OLDEST_PYTHON:
        fix = f"install python3 {oldest} or newer as /usr/local/bin/python3"
        return Finding(Level.ERROR, "python3", f"{python.path} is {version}, older than {oldest}", fix)
    if python.version < wanted:
        text = f"{python.path} is {version}, and a run with a queue needs {_dotted(wanted)}"
        return Finding(Level.ERROR, "python3", text, PYTHON_FIX)
    if python.missing:
        text = f"{python.path} lacks " + ", ".join(python.missing)
        return Finding(Level.ERROR, "python3", text, asked.setup("python"))
    return Finding(Level.OK, "python3", f"{version} ({python.path})")


def _utilities(asked: Asked) -> Finding:
    missing = [name for name in UTILITIES if name not in asked.facts.programs]
    if missing:
        level = Level.ERROR if REQUIRED_UTILITIES & set(missing) else Level.NOTE
        fix = "install coreutils, findutils and awk there"
        return Finding(level, "utilities", "missing: " + ", ".join(missing), fix)
    return Finding(Level.OK, "utilities", "all there")


def _cargo(asked: Asked) -> Finding:
    facts = asked.facts
    wanted = ", ".join(asked.needs.toolchains)
    if facts.cargo is None and facts.cargos:
        broken = facts.cargos[0]
        shim = facts.rustup is not None
        text = f"{broken.path} does not work: {broken.says[:200] or 'it says nothing'}"
        fix = f"there: {join([facts.rustup.path, 'default', 'stable'])}" if facts.rustup else asked.setup()
        return Finding(Level.ERROR, "cargo", text + (" (rustup has no toolchain)" if shim else ""), fix)
    if facts.cargo is None:
        return Finding(Level.ERROR, "cargo", "cargo is missing", asked.setup())
    if wanted and facts.rustup is None:
        text = f"fleet.yaml asks for the toolchain {wanted}, and only rustup can choose one"
        return Finding(Level.ERROR, "cargo", text, "install rustup there, or remove `toolchain:`")
    version = _version(facts.cargo.says)
    if version and version < EDITION_2024_RUST:
        text = f"{facts.cargo.says} ({facts.cargo.path}) is old: edition 2024 needs {_dotted(EDITION_2024_RUST)}"
        return Finding(Level.NOTE, "cargo", text, "install rustup there, if a crate asks for a newer Rust")
    return Finding(Level.OK, "cargo", f"{facts.cargo.says} ({facts.cargo.path})")


def _linker(asked: Asked) -> Finding:
    facts = asked.facts
    if facts.linker is not None:
        return Finding(Level.OK, "linker", facts.linker.path)
    working = next((compiler for compiler in facts.compilers if compiler.links), None)
    if working is not None:
        text = f"rustc calls `cc`, which is missing or cannot link; {working.path} can"
        fix = f"there: sudo ln -s {quote(working.path)} /usr/local/bin/cc"
        return Finding(Level.WARNING, "linker", text, fix)
    if facts.compilers:
        broken = facts.compilers[0]
        return Finding(Level.ERROR, "linker", f"{broken.path} cannot link: {broken.says[:200]}", asked.setup("linker"))
    return Finding(Level.ERROR, "linker", "no cc, gcc or clang", asked.setup("linker"))


def _pkg_config(asked: Asked) -> Finding:
    if "pkg-config" in asked.facts.programs:
        return Finding(Level.OK, "pkg-config", asked.facts.programs["pkg-config"].version)
    text = "missing; crates that link system libraries look for it"
    return Finding(Level.NOTE, "pkg-config", text, asked.setup("pkg-config"))


def _disk(asked: Asked) -> Finding | None:
    filesystem = asked.facts.filesystem
    space, inodes = filesystem.free_bytes, filesystem.free_inodes
    if space is None:
        return None
    few_inodes = inodes is not None and inodes < LOW_INODES
    text = f"{format_size(space)} free on {filesystem.mount}" + (f", only {inodes} inodes" if few_inodes else "")
    fix = f"`sltfleet clean --host {quote(asked.host)}` frees what old runs take; or set `root:` to a larger disk"
    if space < NO_DISK_BYTES or (inodes is not None and inodes < NO_INODES):
        return Finding(Level.ERROR, "disk", text, fix)
    if space < LOW_DISK_BYTES or few_inodes:
        return Finding(Level.WARNING, "disk", text, fix)
    return Finding(Level.OK, "disk", text)


def _memory(asked: Asked) -> Finding | None:
    memory = asked.facts.memory
    usable = min((size for size in (memory.available_bytes, memory.limit_bytes) if size is not None), default=None)
    if usable is None:
        return None
    text = f"{format_size(usable)} " + ("by the cgroup's limit" if usable == memory.limit_bytes else "available")
    if usable < LOW_MEMORY_BYTES:
        fix = "set fewer `workers:`, and `jobs: 1` under `build:`"
        return Finding(Level.WARNING, "memory", f"{text}: the linker may be killed", fix)
    return Finding(Level.OK, "memory", text)


def _cores(asked: Asked) -> Finding | None:
    cores = asked.facts.cores
    if cores.usable is None:
        return None
    text = f"{cores.usable:g} of {cores.online or cores.usable:g} usable"
    if cores.quota is not None and cores.quota == cores.usable and cores.online and cores.quota < cores.online:
        text += " (a cgroup's CPU quota)"
    load = asked.facts.load[0] if asked.facts.load else 0.0
    if asked.workers > WORKERS_PER_CORE * cores.usable:
        fix = "fine for tests that mostly wait; else set `workers:` to about the number of cores"
        return Finding(Level.NOTE, "cores", f"{text}, for {asked.workers} workers", fix)
    if load > cores.usable:
        return Finding(Level.NOTE, "cores", f"{text}; load {load:g}: others use this host", "look at it with `top`")
    return Finding(Level.OK, "cores", text)


def _processes(asked: Asked) -> Finding:
    limits = asked.facts.limits
    wanted = asked.workers * PROCESSES_PER_WORKER
    # The kernel does not hold root to RLIMIT_NPROC (setrlimit(2)).
    known = (
        ("ulimit -u", None if asked.facts.is_root else limits.processes, "raise nproc in /etc/security/limits.conf"),
        ("the cgroup's pids.max", limits.tasks, "raise TasksMax= (systemd), or the container's pids limit"),
        ("kernel.pid_max", limits.pid_max, "there: sudo sysctl kernel.pid_max=4194304"),
    )
    for name, limit, fix in known:
        if limit is not None and wanted > limit:
            text = f"{asked.workers} workers may need {wanted} processes, and {name} is {limit}"
            return Finding(Level.WARNING, "processes", text, f"{fix}; or set fewer `workers:`")
    files = RUNNER_FILES + asked.workers * FILES_PER_WORKER
    if limits.open_files is not None and files > limits.open_files:
        text = f"{asked.workers} workers need {files} open files, and ulimit -n is {limits.open_files}"
        return Finding(Level.WARNING, "processes", text, "raise nofile in /etc/security/limits.conf")
    return Finding(Level.OK, "processes", f"enough for {asked.workers} workers")


def _clock(asked: Asked) -> Finding | None:
    if asked.skew is None:
        return None
    text = f"{asked.skew.offset_s:+.1f} s from this machine's, give or take {asked.skew.uncertainty_s:.1f} s"
    if abs(asked.skew.offset_s) - asked.skew.uncertainty_s <= MAX_SKEW_S:
        return Finding(Level.OK, "clock", text)
    text += "; durations are monotonic and stay right, start times and cargo's rebuild checks may be wrong"
    return Finding(Level.WARNING, "clock", text, "there: sudo timedatectl set-ntp true")


def _logout(asked: Asked) -> Finding:
    logout, user = asked.facts.logout, asked.facts.user
    if not logout.kills:
        return Finding(Level.OK, "logout", "processes stay after logout")
    # Lingering is not enough: it keeps the user's manager, while the session's scope, with the runner in it, is ended.
    fix = f"there, as root: put `KillExcludeUsers=root {user}` into /etc/systemd/logind.conf"
    fix += ", then: systemctl restart systemd-logind"
    if not logout.linger:
        fix += f" && loginctl enable-linger {quote(user)}"
    return Finding(Level.WARNING, "logout", "KillUserProcesses=yes: logind would end the runner at logout", fix)


Check = Callable[[Asked], Finding | None]

_CHECKS: tuple[Check, ...] = (
    _system,
    _shell,
    _folder,
    _rsync,
    _python,
    _utilities,
    _cargo,
    _linker,
    _pkg_config,
    _disk,
    _memory,
    _cores,
    _processes,
    _clock,
    _logout,
)


#: What only matters where Rust is compiled.
_FOR_CARGO: frozenset[Check] = frozenset((_cargo, _linker, _pkg_config))


def checks_for(facts: HostFacts, needs: Needs) -> tuple[Check, ...]:
    """Return the checks that make sense for a host, in the order in which a person would care."""
    if facts.system != "Linux":
        return (_system, _shell)
    return tuple(check for check in _CHECKS if needs.cargo or check not in _FOR_CARGO)


def _version(text: str) -> tuple[int, ...]:
    """The first dotted number of a program's version line, () where there is none."""
    found = re.search(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", text)
    return tuple(int(part) for part in found.groups() if part is not None) if found else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
