"""What `setup` types on a host: a pure plan from its facts, and the one further question it asks (whence Rust?).

Done automatically: apt's packages, as root or by a sudo that asks for no password; rustup where it can be reached, else
the distribution's cargo by apt. For dnf, apk and pacman, and where we may not install, the command is named and left to
a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sltfleet.core.facts import OLDEST_PYTHON, HostFacts
from sltfleet.core.shell import Script, join

Need = Literal["rsync", "python", "linker", "curl", "certificates", "make", "pkg-config"]

#: Without these nothing runs. The rest is wanted by many crates' build scripts, or by rustup.
ESSENTIAL: frozenset[Need] = frozenset(("rsync", "python", "linker"))

#: Per package manager: the packages that fill a need.
PACKAGES: dict[str, dict[Need, tuple[str, ...]]] = {
    "apt-get": {
        "rsync": ("rsync",),
        "python": ("python3",),
        "linker": ("gcc", "libc6-dev"),
        "curl": ("curl",),
        "certificates": ("ca-certificates",),
        "make": ("make",),
        "pkg-config": ("pkg-config",),
    },
    "dnf": {"linker": ("gcc", "glibc-devel"), "pkg-config": ("pkgconf-pkg-config",)},
    "apk": {"linker": ("gcc", "musl-dev"), "pkg-config": ("pkgconf",)},
    "pacman": {"python": ("python",), "linker": ("gcc",), "pkg-config": ("pkgconf",)},
}

#: What only compiling Rust, and installing it, takes.
_FOR_CARGO: frozenset[Need] = frozenset(("linker", "curl", "certificates", "make", "pkg-config"))

#: How each package manager is told to install without asking back.
_INSTALL = {
    "apt-get": ("apt-get", "install", "-y", "--no-install-recommends"),
    "dnf": ("dnf", "install", "-y"),
    "apk": ("apk", "add"),
    "pacman": ("pacman", "-S", "--needed", "--noconfirm"),
}

#: A held dpkg lock is waited for by apt itself. The lock of the package lists is not: see LISTS_LOCKED.
LOCK_WAIT_S = 120
_APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", f"DPkg::Lock::Timeout={LOCK_WAIT_S}")

#: What `apt-get update` says, at once, while another one is under way (apt 2.6; DPkg::Lock::Timeout does not cover it).
LISTS_LOCKED = re.compile(r"^E: (Could not get lock|Unable to lock directory) .*lists", re.MULTILINE)

#: rustup's documented installation, but through a file: sh reports the failure of a pipe's last command only.
_RUSTUP = (
    'file=$(mktemp) && curl --proto =https --tlsv1.2 -fsS --retry 3 -o "$file" https://sh.rustup.rs'
    ' && sh -s -- -y --profile minimal --no-modify-path <"$file"; status=$?; rm -f "$file"; exit $status'
)

#: The installer, and where it downloads from.
RUSTUP_URLS = ("https://sh.rustup.rs", "https://static.rust-lang.org/rustup/release-stable.toml")

_SOURCES = """\
if command -v curl >/dev/null; then
  reached=yes
  for url in "$@"; do curl -fsS --max-time 10 -o /dev/null "$url" 2>/dev/null || { reached=no; break; }; done
  printf 'rustup %s\\n' "$reached"
fi
apt-cache policy cargo rustc cargo-web rustc-web 2>/dev/null
exit 0
"""


@dataclass(frozen=True)
class Command:
    """One command of a plan; `title` says what it does, in the -ing form."""

    title: str
    argv: tuple[str, ...]

    def __str__(self) -> str:
        return join(self.argv)


@dataclass(frozen=True)
class Plan:
    """What is to be typed on a host. `by_hand` is what only a person may type there, because of `why`.

    `blocked`: what is left to a person is essential; a run is impossible without it.
    """

    commands: tuple[Command, ...] = ()
    by_hand: tuple[Command, ...] = ()
    why: str = ""
    blocked: bool = False


@dataclass(frozen=True)
class RustSources:
    """Where Rust can come from. `rustup` is None where there is no curl to ask with.

    Versions are rustc's candidates by apt, "" where there is none: of the package `rustc`, and of `rustc-web`, which
    Debian keeps up to date for the browsers' sake.
    """

    rustup: bool | None = None
    rustc: str = ""
    rustc_web: str = ""


def sources_script() -> Script:
    """Return the script that asks a host where Rust can come from."""
    return Script(_SOURCES, RUSTUP_URLS)


def parse_sources(output: str) -> RustSources:
    """Return what the script found; the greater part of it is printed by `apt-cache policy`."""
    rustup: bool | None = None
    candidates: dict[str, str] = {}
    package = ""
    for line in output.split("\n"):
        word, _, rest = line.strip().partition(" ")
        if word == "rustup" and not line.startswith(" "):
            rustup = rest == "yes"
        elif not line.startswith(" ") and word.endswith(":"):
            package = word[:-1]
        elif word == "Candidate:" and rest != "(none)":
            candidates[package] = rest
    # The compiler's version is the one that matters, and Debian's old cargo packages count by another number.
    both = {name for name in ("", "-web") if f"cargo{name}" in candidates and f"rustc{name}" in candidates}
    return RustSources(
        rustup,
        candidates["rustc"] if "" in both else "",
        candidates["rustc-web"] if "-web" in both else "",
    )


def missing_needs(facts: HostFacts, *, cargo: bool = True) -> tuple[Need, ...]:
    """Return what is missing and can be had as a package; a python3 that is merely too old cannot.

    `cargo`: whether Rust is compiled there.
    """
    python = facts.python
    missing: dict[Need, bool] = {
        "rsync": "rsync" not in facts.programs,
        "python": python is None or (python.version >= OLDEST_PYTHON and bool(python.missing)),
        "linker": facts.linker is None,
        "curl": "curl" not in facts.programs,
        "certificates": not facts.certificates,
        "make": "make" not in facts.programs,
        "pkg-config": "pkg-config" not in facts.programs,
    }
    return tuple(need for need, is_missing in missing.items() if is_missing and (cargo or need not in _FOR_CARGO))


def install_command(facts: HostFacts, needs: tuple[Need, ...]) -> Command | None:
    """Return what an administrator of the host would type, None where its package manager is not known."""
    for manager, names in PACKAGES.items():
        if manager in facts.programs:
            packages = [package for need in needs for package in names.get(need) or PACKAGES["apt-get"][need]]
            return Command("installing " + ", ".join(packages), (*_INSTALL[manager], *packages))
    return None


def plan_packages(facts: HostFacts, *, cargo: bool = True) -> Plan:
    """Return how the missing packages get there. A host that lacks nothing gets an empty plan.

    `cargo`: whether Rust is compiled there.

    Where only Rust is missing the plan still refreshes apt's lists, for it may have to come from there.
    """
    needs = missing_needs(facts, cargo=cargo)
    if not needs and (facts.cargo is not None or not cargo):
        return Plan()
    if "apt-get" in facts.programs and _may_install(facts):
        update = Command("refreshing apt's package lists", (*_as_root(facts), *_APT, "update"))
        return Plan((update, *([_apt_install(facts, _apt_packages(needs))] if needs else [])))
    if not needs:
        return Plan()
    command = install_command(facts, needs)
    blocked = bool(ESSENTIAL & set(needs)) or (facts.cargo is None and "curl" in needs)
    if command is None:
        return Plan(why="no apt, dnf, apk or pacman to install " + ", ".join(needs), blocked=blocked)
    return Plan(by_hand=(command,), why=_why_by_hand(facts), blocked=blocked)


def plan_rust(facts: HostFacts, sources: RustSources) -> Plan:
    """Return how Rust gets there: by a rustup that is there already, by a new one, or as the distribution's package.

    Where it is not known whether rustup can be reached (`--dry-run` before curl is there), the plan says rustup.
    """
    if facts.cargo is not None:
        return Plan()
    if sources.rustup is not False:
        if facts.rustup is not None:
            toolchain = (facts.rustup.path, "default", "stable")
            return Plan((Command("installing the stable toolchain by rustup", toolchain),))
        return Plan((Command("installing Rust by rustup", ("sh", "-c", _RUSTUP)),))
    version, packages = _newest_package(sources)
    if not version:
        why = "rustup cannot be reached from this host, and apt has no cargo"
        return Plan(by_hand=(Command("installing Rust by rustup", ("sh", "-c", _RUSTUP)),), why=why, blocked=True)
    install = _apt_install(facts, packages, f"installing Rust {_upstream(version)} by apt, as rustup cannot be reached")
    if not _may_install(facts):
        return Plan(by_hand=(install,), why=_why_by_hand(facts), blocked=True)
    return Plan((install,))


def command_script(command: Command) -> Script:
    """Return the script that runs one command of a plan, its two outputs as one."""
    return Script('"$@" 2>&1', command.argv)


def _newest_package(sources: RustSources) -> tuple[str, tuple[str, ...]]:
    if sources.rustc_web and _numbers(sources.rustc_web) > _numbers(sources.rustc):
        return sources.rustc_web, ("cargo-web", "rustc-web")
    return sources.rustc, ("cargo", "rustc")


def _upstream(version: str) -> str:
    """1:1.63.0+dfsg1-2 is Debian's second package of upstream's 1.63.0 (deb-version(7))."""
    return re.split(r"[-+~]", version.rpartition(":")[2])[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in _upstream(version).split(".") if re.fullmatch(r"[0-9]{1,18}", part))


def _apt_packages(needs: tuple[Need, ...]) -> tuple[str, ...]:
    return tuple(package for need in needs for package in PACKAGES["apt-get"][need])


def _apt_install(facts: HostFacts, packages: tuple[str, ...], title: str = "") -> Command:
    argv = (*_as_root(facts), *_APT, "install", "-y", "--no-install-recommends", *packages)
    return Command(title or "installing " + ", ".join(packages), argv)


def _as_root(facts: HostFacts) -> tuple[str, ...]:
    return () if facts.is_root else ("sudo", "-n")


def _may_install(facts: HostFacts) -> bool:
    return facts.is_root or facts.can_sudo


def _why_by_hand(facts: HostFacts) -> str:
    if not _may_install(facts):
        return f"{facts.user or 'the user'} is not root there, and sudo is missing or asks for a password"
    return "only apt is used without being asked; this host has another package manager"
