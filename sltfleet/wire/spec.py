"""What the controller asks of a runner: the content of `spec.json` in the run's folder on the host.

Paths in a spec are absolute paths on the host. Seconds are floats, sizes are bytes.

Text fields marked *template* may hold placeholders in braces, `{unit}` for instance; `{{` and `}}` stand for braces.
The placeholders are listed in `sltfleet.wire.template.PLACEHOLDERS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Dict, Optional, Tuple, Union

from sltfleet.wire.codec import decode
from sltfleet.wire.format import FORMAT_VERSION, check_format


@dataclass(frozen=True)
class FileUnits:
    """One unit per file below `root` (relative to the tree) that matches `include` and not `exclude`."""

    kind: ClassVar[str] = "files"
    root: str
    include: Tuple[str, ...]
    exclude: Tuple[str, ...] = ()


@dataclass(frozen=True)
class PartitionUnits:
    """`count` units, each a share `k of count` of a suite that can only be told its share.

    `first` is the number of the first share (0 or 1), as the suite counts them.
    """

    kind: ClassVar[str] = "partitions"
    count: int
    first: int = 0


@dataclass(frozen=True)
class LibtestBinary:
    """A test executable of Rust's own harness. `id` is the one that cargo-nextest gives it: `package::target`."""

    id: str
    #: As cargo built it; the runner copies it into the run's folder.
    path: str
    #: SHA-256, in hex.
    digest: str
    #: The package's folder below the tree: the working directory of its tests.
    package_dir: str


@dataclass(frozen=True)
class LibtestUnits:
    """One unit per test that the executables list; its id is `BINARY_ID::TEST`.

    `ignored` is about tests with `#[ignore]`: `skip`, `include` or `only`. `exclude`: globs over the units' ids. Tests
    that are known to be short share a process until their durations add up to `batch_s` (0: each has its own).
    """

    kind: ClassVar[str] = "libtest"
    binaries: Tuple[LibtestBinary, ...]
    ignored: str = "skip"
    exclude: Tuple[str, ...] = ()
    batch_s: float = 0.0


@dataclass(frozen=True)
class CommandUnits:
    """Units of any program: `items`, the lines that the command `lines_of` prints on the host, or `files`.

    `program`: templates, the words of the command that runs one unit in the tree. `lines_of` holds plain words.
    """

    kind: ClassVar[str] = "command"
    program: Tuple[str, ...]
    items: Tuple[str, ...] = ()
    lines_of: Tuple[str, ...] = ()
    files: Optional[FileUnits] = None


UnitSource = Union[FileUnits, PartitionUnits, LibtestUnits, CommandUnits]


@dataclass(frozen=True)
class ExitCodeVerdict:
    """A unit is one case, which passed when the exit code is in `success`."""

    kind: ClassVar[str] = "exit-code"
    success: Tuple[int, ...] = (0,)


@dataclass(frozen=True)
class OutputVerdict:
    """Regular expressions (Python's `re`, multiline) are searched in the kept output.

    Each match is a case: the group `case` names it (the unit itself where the group is missing), the group `message`
    says why. Where nothing matches, the exit code decides for the unit.
    """

    kind: ClassVar[str] = "output"
    passed: Tuple[str, ...] = ()
    failed: Tuple[str, ...] = ()


@dataclass(frozen=True)
class JsonVerdict:
    """The test writes a JSON file; `passed` and `failed` are dotted paths to lists of case names in it.

    `path` is a template, relative to the attempt's working directory. An element of a list may also be an object with a
    `name` (or `file`) and a `message`. `messages`, where given, is a dotted path to an object: case name -> message.
    A file that is missing, older than the attempt, or not JSON makes the attempt a `fail` with a message that says so.
    """

    kind: ClassVar[str] = "json"
    path: str
    passed: str
    failed: str
    messages: Optional[str] = None


@dataclass(frozen=True)
class LibtestVerdict:
    """What Rust's own test harness prints tells: a line per test, the failures, the summary."""

    kind: ClassVar[str] = "libtest"


VerdictRule = Union[ExitCodeVerdict, OutputVerdict, JsonVerdict, LibtestVerdict]


@dataclass(frozen=True)
class Limits:
    """When an attempt is ended, how often a unit comes round, and how much of the output is kept."""

    #: The longest that an attempt may take; where a factor is given, of a unit whose duration is not known.
    timeout_s: float = 300.0
    #: Between SIGTERM and SIGKILL, after a timeout or a stop.
    kill_after_s: float = 5.0
    #: Of one attempt's output: the first half and the last half of so many bytes are kept.
    output_bytes: int = 4 * 1024 * 1024
    #: Of all kept outputs of a run on this host; beyond it only the journal tells of an attempt.
    artifacts_bytes: int = 2 * 1024 * 1024 * 1024
    #: Attempts run at this nice value, so that the runner can reap and start at once.
    nice: int = 10
    #: A unit may take so many times its longest known duration, at least the floor and at most `timeout_s`; None:
    #: `timeout_s` for all.
    timeout_factor: Optional[float] = None
    timeout_floor_s: float = 10.0
    #: After so many timeouts in a row a unit is quarantined.
    quarantine_after: int = 3
    #: Failing and flaky units are attempted so often per pass, after the first; 1: as often as the others.
    retry_weight: int = 3
    #: An attempt whose processes use more memory than this together is ended; None: no limit.
    memory_limit_bytes: Optional[int] = None
    #: When less memory than this is available the youngest attempt is stopped and queued again; None: the runner's
    #: own choice, 0: never.
    memory_reserve_bytes: Optional[int] = None


@dataclass(frozen=True)
class UnitHistory:
    """What earlier runs know of a unit: the first pass is ordered by it, and timeouts and admission start from it.

    `rank`: 0 failed before, 1 never tested, 2 passed before. `expected_s`: its usual duration in the reference's
    seconds (see `Spec.speed`), `longest_s`
    the longest of an attempt that was not timed out. `flaky_rate`: failed of all verdicts, 0 to 1, of a build that
    both passed and failed it, else 0. `timeouts`: how many of its last attempts in a row were timed out. `peak_bytes`:
    the most memory that one process of it used, 0 where nobody knows.
    """

    rank: int
    expected_s: Optional[float] = None
    longest_s: Optional[float] = None
    flaky_rate: float = 0.0
    timeouts: int = 0
    peak_bytes: int = 0


@dataclass(frozen=True)
class Spec:
    """One run on one host."""

    run_id: str
    project: str
    host: str
    suite: str
    #: The host's own project folder, the parent of `runs/`.
    project_root: str
    #: The folder whose content is snapshotted as the run's tree.
    repo: str
    #: The package's folder below the tree ("" for the tree itself): the working directory, as under `cargo test`.
    package_dir: str
    #: The executable as it was built; the runner copies it into the run's folder. "" where the units name their own.
    binary: str
    #: SHA-256 of the executable (of all digests where there are several), in hex: two attempts are of the same build
    #: when it is the same.
    build_digest: str
    #: Templates: the arguments after the executable.
    args: Tuple[str, ...]
    #: Templates: set on top of the runner's own environment.
    env: Dict[str, str]
    units: UnitSource
    verdict: VerdictRule
    #: 0: as many as the host has cores for us.
    workers: int
    budget_s: float
    seed: int
    #: Stop after so many passes, None: only the budget ends the run.
    passes: Optional[int] = None
    #: Workers leave as soon as the first pass has no more units: the old behaviour, for comparison.
    once: bool = False
    #: Stop after so many attempts that did not pass.
    fail_fast: Optional[int] = None
    #: Globs over unit ids; empty: all.
    select: Tuple[str, ...] = ()
    workdir: str = "shared"
    limits: Limits = field(default_factory=Limits)
    history: Dict[str, UnitHistory] = field(default_factory=dict)
    #: So many times as fast as the reference this host's workers are, one for one: what the history says takes a second
    #: takes 1 / speed here.
    speed: float = 1.0
    commit: str = ""
    #: Digest of uncommitted changes, "" where there are none.
    dirty_digest: str = ""
    toolchain: str = ""
    sltfleet_version: str = ""
    format: int = FORMAT_VERSION

    @property
    def package_dirs(self) -> Tuple[str, ...]:
        """The folders below the tree in which attempts run."""
        binaries = self.units.binaries if isinstance(self.units, LibtestUnits) else ()
        return tuple(dict.fromkeys((self.package_dir, *(binary.package_dir for binary in binaries))))

    @property
    def executables(self) -> Tuple[Tuple[str, str], ...]:
        """The executables to be copied into the run's folder: path and SHA-256."""
        if isinstance(self.units, LibtestUnits):
            return tuple((binary.path, binary.digest) for binary in self.units.binaries)
        return ((self.binary, self.build_digest),) if self.binary else ()


def spec_from_json(raw: object) -> Spec:
    """Return the Spec that a JSON value describes. Raises FormatError and DecodeError."""
    found = raw.get("format") if isinstance(raw, dict) else None
    check_format(found, "the run's specification")
    return decode(Spec, raw)
