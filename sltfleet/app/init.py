"""`sltfleet init`: writes a fleet.yaml from what Cargo and the project's files say.

The text is made by `core.fleet_draft`; here the facts are gathered.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sltfleet.app.runs import write_aside
from sltfleet.core.cargo_metadata import (
    CargoMetadata,
    CargoMetadataError,
    CargoPackage,
    CargoTest,
    metadata_argv,
    parse_metadata,
    targets_without_harness,
)
from sltfleet.core.errors import RefusedError, UsageError
from sltfleet.core.fleet_draft import (
    CORPUS_SUFFIXES,
    SOURCE_WORDS,
    Corpus,
    TestFacts,
    draft_fleet,
    find_corpus,
    safe_name,
    takes_files,
)
from sltfleet.core.shell import join

FILE_NAME = "fleet.yaml"

#: `cargo metadata --no-deps` reads a few files; it may wait for rustup to say that there is no toolchain.
CARGO_TIMEOUT_S = 60.0

#: So many suites are drafted; the rest of a large workspace is named in a note.
MAX_SUITES = 10

#: Limits to looking around: a repo may hold a million files, and a source may be generated.
_MAX_FILES = 200_000
_MAX_SOURCES = 200
_MAX_SOURCE_BYTES = 1024 * 1024

_MODULE = re.compile(r"^\s*(?:pub\s+)?mod\s+(\w+)\s*;", re.MULTILINE)
_NOT_SEARCHED = frozenset({"target", "node_modules"})


@dataclass(frozen=True)
class CargoOutput:
    """What a cargo command printed, as text."""

    exit_code: int
    stdout: str
    stderr: str


#: Runs an argv in a folder. Raises UsageError where cargo cannot be run at all.
RunCargo = Callable[[tuple[str, ...], Path], CargoOutput]


@dataclass(frozen=True)
class InitResult:
    """The file that was written, its text, and what a person should know of it."""

    path: Path
    text: str
    notes: tuple[str, ...]


def init_fleet(directory: Path, *, force: bool, run_cargo: RunCargo) -> InitResult:
    """Write `directory`/fleet.yaml for the Cargo project there.

    Raises RefusedError where there is one already (unless `force`), UsageError where there is no Cargo project, cargo
    cannot read it, it has no test target, or the file cannot be written.
    """
    path = directory / FILE_NAME
    if not force and os.path.lexists(path):
        raise RefusedError(f"{path} is there already", fix="edit it, or write it anew with `sltfleet init --force`")
    if not (directory / "Cargo.toml").is_file():
        raise UsageError(
            f"there is no Cargo.toml in {directory}",
            fix="run `sltfleet init` in the folder of a Cargo project's Cargo.toml",
        )
    metadata = _metadata(directory, run_cargo)
    repo = Path(metadata.workspace_root)
    tests = [(package, test) for package in metadata.packages for test in package.tests]
    if not tests:
        raise UsageError(
            f"no package in {repo} has a test target",
            "sltfleet runs integration tests",
            "add tests/NAME.rs or a [[test]] to a package",
        )
    corpus = find_corpus(_corpus_files(repo))
    # Those with a corpus first: they are what a fleet is for, and the first suite is the default one.
    facts = sorted((_facts(package, test) for package, test in tests), key=lambda test: not takes_files(test, corpus))
    text = draft_fleet(
        safe_name(metadata.packages[0].name if len(metadata.packages) == 1 else repo.name),
        Path(os.path.relpath(repo, directory)).as_posix(),
        facts[:MAX_SUITES],
        corpus,
        workspace=len(metadata.packages) > 1,
    )
    try:
        write_aside(path, text.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot write {path}", error.strerror or str(error), "make the folder writable") from error
    return InitResult(path=path, text=text, notes=tuple(_notes(facts, corpus)))


def run_cargo(argv: tuple[str, ...], directory: Path) -> CargoOutput:
    """Run a cargo command in `directory`. Raises UsageError where it cannot be run, or not within CARGO_TIMEOUT_S."""
    try:
        done = subprocess.run(
            argv,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=CARGO_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("cannot run cargo", "it is not on the PATH", "install Rust: https://rustup.rs") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"`{join(argv)}` did not end within {CARGO_TIMEOUT_S:.0f} s", fix="run it by hand") from None
    except OSError as error:
        raise UsageError("cannot run cargo", error.strerror or str(error), f"run `{join(argv)}` by hand") from error
    return CargoOutput(done.returncode, done.stdout, done.stderr)


def _metadata(directory: Path, run_cargo: RunCargo) -> CargoMetadata:
    argv = metadata_argv()
    output = run_cargo(argv, directory)
    if output.exit_code != 0:
        raise UsageError(
            f"cargo cannot read the project in {directory}",
            f"exit code {output.exit_code}",
            f"mend what `{join(argv)}` complains of",
            command=join(argv),
            detail=output.stderr.strip(),
        )
    try:
        return parse_metadata(output.stdout)
    except CargoMetadataError as error:
        what, fix = f"cannot understand cargo in {directory}", "is that cargo a recent one? `cargo --version` tells"
        raise UsageError(what, str(error), fix, command=join(argv)) from None


def _facts(package: CargoPackage, test: CargoTest) -> TestFacts:
    manifest = _read_toml(Path(package.manifest))
    return TestFacts(
        name=test.name,
        package=package.name,
        features=test.required_features,
        own_main=None if manifest is None else test.name in targets_without_harness(manifest),
        words=_source_words(Path(test.source)),
    )


def _read_toml(path: Path) -> object:
    """Return what a TOML file says, None where it cannot be read or this Python cannot read TOML (before 3.11)."""
    if sys.version_info >= (3, 11):
        import tomllib

        # Cargo has read the file a moment ago; where this fails all the same, one fact of several is missing.
        with contextlib.suppress(OSError, ValueError):
            return tomllib.loads(path.read_text(encoding="utf-8"))
    return None


def _source_words(source: Path) -> frozenset[str]:
    """Return which of SOURCE_WORDS stand in a test's sources: its own file and the modules that it names.

    Files that cannot be read, or are too large to be written by hand, are passed over: the words are a hint only.
    """
    own = _read_source(source)
    texts = [own]
    for module in _MODULE.findall(own):
        files = [source.parent / f"{module}.rs", *sorted((source.parent / module).rglob("*.rs"))]
        texts += [_read_source(file) for file in files[:_MAX_SOURCES]]
    return frozenset(word for word in SOURCE_WORDS if any(word in text for text in texts))


def _read_source(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_SOURCE_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _corpus_files(repo: Path) -> Iterator[str]:
    """Yield the files below `repo` that look like a corpus's, relative to it. Hidden folders are not entered."""
    seen = 0
    for folder, folders, names in os.walk(repo):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _NOT_SEARCHED)
        seen += len(names)
        if seen > _MAX_FILES:
            return
        for name in names:
            path = os.path.relpath(Path(folder, name), repo)
            # A name that is no text, or cannot be seen, cannot stand in fleet.yaml either.
            if name.endswith(CORPUS_SUFFIXES) and path.isprintable():
                yield Path(path).as_posix()


def _notes(facts: list[TestFacts], corpus: Corpus | None) -> Iterator[str]:
    if corpus is not None:
        yield f"found {corpus.count} files *{corpus.suffix} below {corpus.root}"
    left_out = [f"{test.package}/{test.name}" for test in facts[MAX_SUITES:]]
    if left_out:
        yield "no suite was written for " + ", ".join(left_out)
    if any(test.own_main is None for test in facts):
        yield "whether a target has `harness = false` was not looked up: this needs Python 3.11"
    yield "next: read the file, then `sltfleet doctor`"
