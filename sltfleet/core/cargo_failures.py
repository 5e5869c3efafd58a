"""Why a build failed and what to do about it, read from what cargo, rustc and rustup print on standard error.

The texts are real ones; `tests/cases/cargo/failures.json` holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sltfleet.core.building import BROKEN_CARGO_CODE, CHANGED_CODE, NO_BINARY_CODE, NO_CARGO_CODE, NO_MANIFEST_CODE
from sltfleet.core.errors import BuildError, FleetError
from sltfleet.core.full_disk import disk_full, is_disk_full

#: Of an error's text so many lines are shown; the first errors are those that explain the others.
MAX_SHOWN_LINES = 300

#: cargo's own account of what it does, its verbs in a column of twelve.
_STATUS = re.compile(
    r" {1,11}(?:Adding|Blocking|Building|Checking|Compiling|Dirty|Documenting|Downgrading|Downloaded|Downloading"
    r"|Executable|Finished|Fresh|Locking|Removing|Running|Unpacking|Updating|Waiting)\b"
)
_BACKTRACE = re.compile(r"\s*(?:Stack backtrace:|stack backtrace:|\d+: .*|at /rustc/.*|at \./csu/.*)\Z")
_SEGMENT = re.compile(r"(error|warning)(?:\[\w+\])?:")


def rendered_errors(stderr: str, *, warnings: bool = False) -> str:
    """Return the errors as rustc and cargo rendered them, without status lines, stack traces and warnings."""
    kept: list[str] = []
    showing = True
    for line in stderr.splitlines():
        if _STATUS.match(line) or _BACKTRACE.match(line):
            continue
        if segment := _SEGMENT.match(line):
            showing = warnings or segment.group(1) == "error"
        if showing:
            kept.append(line.rstrip())
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    lines = text.split("\n")
    if len(lines) > MAX_SHOWN_LINES:
        lines = [*lines[:MAX_SHOWN_LINES], f"[{len(lines) - MAX_SHOWN_LINES} more lines]"]
    return "\n".join(lines)


Explanation = tuple[str, str, str]


def _toolchain(found: re.Match[str]) -> Explanation:
    name = found.group(1)
    why = "build.toolchain or the repo's rust-toolchain.toml asks for it"
    return f"the toolchain {name} is not installed", why, f"type there: rustup toolchain install {name}"


def _wrapper(found: re.Match[str]) -> Explanation:
    name = found.group(1).rpartition("/")[2]
    if name == "rustc":
        return "rustc is not installed", "cargo is there, but cannot start it", "`sltfleet setup` installs Rust"
    return (
        f"the compiler wrapper {name} is not installed",
        "RUSTC_WRAPPER or `rustc-wrapper` in .cargo/config.toml asks for it",
        f'install {name} there, or switch it off for this suite: build.env: {{RUSTC_WRAPPER: ""}}',
    )


def _linker(found: re.Match[str]) -> Explanation:
    name = found.group(1)
    if name in ("cc", "gcc"):
        return "there is no linker", f"{name} was not found", "`sltfleet setup` installs one"
    why = f"{name} was not found; .cargo/config.toml or the target asks for it"
    return "there is no linker", why, f"install {name} there"


def _library(found: re.Match[str]) -> Explanation:
    name = found.group(1)
    fix = f"install its development package there (on Debian its name ends with -dev), and pkg-config: {name}"
    return f"the system library {name} is not installed", "a crate links to it", fix


def _fixed(what: str, why: str, fix: str) -> Callable[[re.Match[str]], Explanation]:
    return lambda _found: (what, why, fix)


def _unknown(kind: str, key: str) -> Callable[[re.Match[str]], Explanation]:
    def explain(found: re.Match[str]) -> Explanation:
        why = found.group(0).partition(": ")[2]
        return f"there is no {kind} {found.group(1)!r}", why, f"look at build.{key} in fleet.yaml"

    return explain


#: The first that matches explains the failure: the ones on top cause those below them.
_CAUSES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Explanation]], ...] = (
    (
        re.compile(r"no default is configured|no default toolchain"),
        _fixed("Rust has no toolchain", "rustup is there, but has no default", "type there: rustup default stable"),
    ),
    (re.compile(r"toolchain '([^'\n]+)' is not installed"), _toolchain),
    (
        re.compile(r"no such (?:sub)?command: `\+"),
        _fixed(
            "this cargo cannot choose a toolchain", "it is not rustup's", "leave build.toolchain out, or use rustup"
        ),
    ),
    (
        re.compile(r"No space left on device|\(os error 28\)|Disk quota exceeded"),
        _fixed(
            "the disk is full",
            "no space was left while compiling",
            "free some space there: `sltfleet clean` deletes old runs, and what was built",
        ),
    ),
    (re.compile(r"could not execute process `(\S+)[^`\n]*rustc[^`\n]*` \(never executed\)"), _wrapper),
    (re.compile(r"could not execute process `(rustc)\b"), _wrapper),
    (re.compile(r"linker `([^`\n]+)` not found"), _linker),
    (re.compile(r"error: no test target named `([^`\n]+)`.*"), _unknown("test target", "test")),
    (
        re.compile(r"error: package ID specification `([^`\n]+)` did not match any packages"),
        _unknown("package", "package"),
    ),
    (re.compile(r"error: profile `([^`\n]+)` is not defined"), _unknown("profile", "profile")),
    (re.compile(r"error: the package '[^'\n]+' does not contain this feature: (\S+)"), _unknown("feature", "features")),
    (
        re.compile(r"the `([^`\n]+)` target may not be installed"),
        lambda found: (
            f"the target {found.group(1)} is not installed",
            "build.target asks for it",
            f"type there: rustup target add {found.group(1)}",
        ),
    ),
    (
        re.compile(r"because --locked was passed|needs to be updated but --locked"),
        _fixed(
            "Cargo.lock is out of date",
            "build.locked forbids a change",
            "type here: cargo update --workspace; sync again",
        ),
    ),
    (
        re.compile(
            r"Could not resolve host|failed to download|spurious network error|you're using offline mode"
            r"|failed to fetch|Failed to connect|Could not connect to server|download of .* failed"
        ),
        _fixed(
            "the crates' sources are missing",
            "they could not be downloaded there",
            "give the host a way to the registry, or type here: cargo vendor; sync again",
        ),
    ),
    (re.compile(r"The system library `([^`\n]+)` required by crate"), _library),
    (
        re.compile(r"pkg-config command could not be found|Could not run `[^`\n]*pkg-config"),
        _fixed("pkg-config is not installed", "a crate's build script needs it", "install pkg-config there"),
    ),
    (
        re.compile(r"\(signal: 9, SIGKILL: kill\)"),
        _fixed(
            "the compiler was killed",
            "most often for want of memory",
            "set build.jobs: 1, or give the host more memory or swap",
        ),
    ),
)

_SUMMARY = re.compile(r"^error: (could not compile .*)$", re.MULTILINE)


def build_failure(exit_code: int, stderr: str, *, project_root: str = "", warnings: bool = False) -> BuildError:
    """Return the error for cargo that ended with `exit_code` (not 0; 128 + N for a signal N).

    The project's folder is left out of the paths in its text: two hosts tell the same error in the same words.
    """
    detail = rendered_errors(stderr, warnings=warnings)
    if project_root:
        detail = detail.replace(f"{project_root}/repo/", "").replace(f"{project_root}/repo", ".")
        detail = detail.replace(f"{project_root}/", "")
    for pattern, explain in _CAUSES:
        if found := pattern.search(detail):
            what, why, fix = explain(found)
            return BuildError(what, why, fix, detail=detail)
    if exit_code == 137:
        return BuildError("cargo was killed", "most often for want of memory", "set build.jobs: 1", detail=detail)
    if summaries := _SUMMARY.findall(detail):
        return BuildError("the suite does not compile", summaries[-1], "", detail=detail)
    first = next((line for line in detail.split("\n") if line.startswith("error")), "")
    why = first.partition(": ")[2] or f"cargo ended with exit code {exit_code}"
    return BuildError("the suite cannot be built", why, "", detail=detail)


def script_failure(exit_code: int, stderr: str, manifest: str) -> BuildError:
    """Return the error for one of the two scripts that ended with `exit_code` (not 0) on its own account."""
    if exit_code == NO_MANIFEST_CODE:
        fix = "set build.manifest in fleet.yaml: it is relative to `repo`, and must not be ignored by git"
        return BuildError(f"there is no {manifest} in the synced repo", fix=fix)
    if exit_code == NO_CARGO_CODE:
        return BuildError(
            "cargo is not installed", "it is in none of the usual places", "`sltfleet setup` installs Rust"
        )
    if exit_code == BROKEN_CARGO_CODE:
        return build_failure(exit_code, stderr)
    if exit_code == CHANGED_CODE:
        why = "a sync ended while cargo was at work"
        return BuildError("the repo changed during the build", why, "run the build again")
    if exit_code == NO_BINARY_CODE:
        why = "it was deleted or cannot be read"
        return BuildError("the executable is not where cargo said", why, "build again with --force")
    if is_disk_full(stderr):
        return disk_full(stderr, BuildError)
    lines = stderr.strip().splitlines()
    why = lines[-1] if lines else f"exit code {exit_code}"
    return BuildError("the build could not be started", why, "`sltfleet doctor` checks what a build needs")


@dataclass(frozen=True)
class DistinctError:
    """An error and all hosts that have it, the first in the order of fleet.yaml first."""

    hosts: tuple[str, ...]
    error: FleetError


def distinct_errors(errors: Mapping[str, FleetError]) -> list[DistinctError]:
    """Return each error once, with its hosts. Errors that differ in ids, hashes and durations only are the same one."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for host, error in errors.items():
        key = (type(error), *_mask((error.what, error.why, error.fix, error.detail)))
        groups.setdefault(key, []).append(host)
    return [DistinctError(tuple(hosts), errors[hosts[0]]) for hosts in groups.values()]


def _mask(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        masked = re.sub(r"-[0-9a-f]{16}\b", "-#", text)  # cargo's hash in the name of what it makes
        masked = re.sub(r"(thread '[^']*') \(\d+\)", r"\1", masked)
        yield re.sub(r"\b\d+(?:\.\d+)? ?(?:ms|s)\b", "# s", masked)
