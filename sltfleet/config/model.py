"""What fleet.yaml says, as types. `config.load` makes them from the file; everything else only reads them.

Every field has a description: the JSON Schema and the reference in docs/fleet-yaml.md are made from this module.
Durations are written as `300`, `300s`, `5m`, `1h30m` and are seconds here; sizes as `4MiB`, `500kB`, `1GiB` and are
bytes here.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sltfleet.config.fields import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    FieldError,
    read_duration,
    read_env_value,
    read_glob,
    read_list,
    read_regex,
    read_section,
    read_size,
    read_sync_pattern,
    read_template,
    read_timeout,
)
from sltfleet.config.names import (
    ENV_NAME_PATTERN,
    SAFE_NAME_PATTERN,
    check_dotted_path,
    check_env_name,
    check_host_name,
    check_inner_path,
    check_path,
    check_result_path,
    check_root,
    check_safe_name,
    check_word,
)
from sltfleet.core.paths import DEFAULT_ROOT

T = TypeVar("T")

#: What a reader accepts beside text, for editors: the JSON Schema is made from it.
_TEXT_OR_NUMBER = Field(json_schema_extra={"type": ["string", "number"]})

Duration = Annotated[
    float,
    BeforeValidator(read_duration),
    Field(json_schema_extra={"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": DURATION_PATTERN}),
]
Size = Annotated[
    int,
    BeforeValidator(read_size),
    Field(json_schema_extra={"type": ["integer", "string"], "minimum": 1, "pattern": SIZE_PATTERN}),
]
Glob = Annotated[str, BeforeValidator(read_glob)]
SyncPattern = Annotated[str, BeforeValidator(read_sync_pattern)]
Regex = Annotated[str, BeforeValidator(read_regex)]
Template = Annotated[str, BeforeValidator(read_template), _TEXT_OR_NUMBER]
EnvValue = Annotated[str, BeforeValidator(read_env_value), _TEXT_OR_NUMBER]
EnvName = Annotated[str, AfterValidator(check_env_name), Field(json_schema_extra={"pattern": ENV_NAME_PATTERN})]
SafeName = Annotated[str, AfterValidator(check_safe_name), Field(json_schema_extra={"pattern": SAFE_NAME_PATTERN})]
HostName = Annotated[str, AfterValidator(check_host_name)]
Word = Annotated[str, AfterValidator(check_word)]
RootPath = Annotated[str, AfterValidator(check_root)]
InnerPath = Annotated[str, AfterValidator(check_inner_path)]
ResultPath = Annotated[str, BeforeValidator(read_template), AfterValidator(check_result_path)]
LocalPath = Annotated[str, AfterValidator(check_path)]
DottedPath = Annotated[str, AfterValidator(check_dotted_path)]
#: As the journal names it.
UnitId = Annotated[str, Field(min_length=1, max_length=1000)]
ExitCode = Annotated[int, Field(ge=0, le=255)]
#: A tuple that is written as a list.
Items = Annotated[tuple[T, ...], BeforeValidator(read_list)]


class Strict(BaseModel):
    """No unknown key, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class SyncConfig(Strict):
    """What is synced to the hosts."""

    gitignore: bool = True
    """Leave out what git ignores (.gitignore files at every level, .git/info/exclude, the person's global excludes)."""
    exclude: Items[SyncPattern] = ("/target/", ".git/", "node_modules/")
    """Further patterns to leave out, in .gitignore's syntax, relative to the repo."""
    include: Items[SyncPattern] = ()
    """Patterns to bring although git ignores them (generated test data, say), in .gitignore's syntax."""
    max_delete: int = Field(default=1000, ge=0)
    """A sync that would delete more files than this on a host deletes none and says so."""


class HostConfig(Strict):
    """One host. The name is an ssh alias: `~/.ssh/config` decides user, port, key and jump host."""

    transport: Literal["ssh", "local"] = "ssh"
    """`ssh`, or `local` for this very machine without ssh."""
    address: Word | None = None
    """The ssh destination where it is not the host's name: an alias, `name` or `user@name`."""
    workers: int | None = Field(default=None, ge=1, le=4096)
    """Workers on this host; default: the cores that the host may use."""
    tags: Items[Word] = ()
    """Words to select hosts by, with `--tag`."""
    root: RootPath = DEFAULT_ROOT
    """The folder on the host below which the project's own folder is made."""
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
    """Environment for builds and tests on this host."""

    @model_validator(mode="after")
    def _local_has_no_address(self) -> HostConfig:
        if self.transport == "local" and self.address is not None:
            raise FieldError("a local host has no `address`", "remove it, or `transport: local`")
        return self


class BuildConfig(Strict):
    """What `cargo test --no-run` builds, or another command."""

    test: Word | None = None
    """The test target (`cargo test --test NAME`)."""
    tests: Items[Word] = ()
    """Several test targets, for `libtest` units; without any target all that `cargo test` runs but doc tests."""
    lib: bool = False
    """The unit tests of the libraries (`--lib`), for `libtest` units."""
    bins: bool = False
    """The unit tests of the programs (`--bins`), for `libtest` units."""
    workspace: bool = False
    """All packages of the workspace (`--workspace`), for `libtest` units."""
    command: Items[str] = ()
    """The words of another command than cargo, run in the repo on each host; its files stay there."""
    output: InnerPath | None = None
    """The executable that `command` makes, relative to the repo: a run takes a copy, `{binary}`."""
    package: Word | None = None
    """The package, in a workspace (`cargo test --package NAME`)."""
    manifest: InnerPath = "Cargo.toml"
    """The Cargo.toml to build from, relative to the repo."""
    profile: Word | None = None
    """The cargo profile (`--profile NAME`), e.g. `release`; default: cargo's own for tests."""
    features: Items[Word] = ()
    """Cargo features (`--features`)."""
    all_features: bool = False
    """All cargo features (`--all-features`)."""
    default_features: bool = True
    """`false` for `--no-default-features`."""
    target: Word | None = None
    """The target triple (`--target`), where it is not the host's own."""
    locked: bool = False
    """`--locked`: fail where Cargo.lock would change."""
    jobs: int | None = Field(default=None, ge=1)
    """`--jobs N` for cargo."""
    toolchain: Word | None = None
    """A rustup toolchain (`cargo +NAME`)."""
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
    """Environment for the build, e.g. RUSTFLAGS."""
    timeout: Duration = 3600.0
    """A build that takes longer is ended."""

    @model_validator(mode="after")
    def _features_fit(self) -> BuildConfig:
        if self.all_features and self.features:
            raise FieldError("`features` does not go with `all_features`", "remove one of them")
        return self

    @model_validator(mode="after")
    def _one_way_to_build(self) -> BuildConfig:
        if self.output is not None and not self.command:
            raise FieldError("`output` is what `command` makes, and there is none", "add `command`, or remove `output`")
        for_cargo = sorted(self.model_fields_set - {"command", "output", "env", "timeout"})
        if self.command and for_cargo:
            raise FieldError(f"`{for_cargo[0]}` is for cargo, and does not go with `command`", "remove one of them")
        if self.test is not None and self.tests:
            raise FieldError("`test` does not go with `tests`", "name all of them in `tests`")
        if self.package is not None and self.workspace:
            raise FieldError("`package` does not go with `workspace`", "remove one of them")
        return self


class FilesConfig(Strict):
    """One unit per file."""

    kind: Literal["files"]
    """A unit is a file."""
    root: InnerPath
    """The folder of the files, relative to the repo."""
    include: Items[Glob] = ("**/*",)
    """Globs below `root`; `**` stands for any number of folders."""
    exclude: Items[Glob] = ()
    """Globs below `root` to leave out."""


class PartitionsConfig(Strict):
    """Units are shares `k of count` of a suite that can only be told its share."""

    kind: Literal["partitions"]
    """A unit is a share."""
    count: int = Field(ge=1, le=1_000_000)
    """How many shares; many times the workers, so that they are small and nobody waits."""
    first: Literal[0, 1] = 0
    """The number of the first share, as the suite counts."""


class LibtestConfig(Strict):
    """One unit per test of Rust's own harness, `PACKAGE::TARGET::TEST`, from all executables that are built."""

    kind: Literal["libtest"]
    """A unit is a test."""
    ignored: Literal["skip", "include", "only"] = "skip"
    """What happens to tests with `#[ignore]`."""
    exclude: Items[Glob] = ()
    """Globs over the ids of tests or, `PACKAGE::TARGET`, of whole executables to leave out."""
    batch: Duration | None = None
    """Tests that are known to be shorter share a process until their durations add up to this; default: none does."""


class ListedFilesConfig(Strict):
    """The files that are units of a program."""

    root: InnerPath
    """The folder of the files, relative to the repo."""
    include: Items[Glob] = ("**/*",)
    """Globs below `root`; `**` stands for any number of folders."""
    exclude: Items[Glob] = ()
    """Globs below `root` to leave out."""


class CommandConfig(Strict):
    """Units of any program, named by one of `items`, `lines_of` and `files`."""

    kind: Literal["command"]
    """A unit is an argument of a program."""
    program: Items[Template] = Field(min_length=1)
    """The words of the command that runs one unit, `{unit}` among them; placeholders as in `env`."""
    items: Items[Template] = ()
    """The units themselves."""
    lines_of: Items[str] = ()
    """The words of a command that prints one unit per line; it is run in the run's tree on each host."""
    files: ListedFilesConfig | None = None
    """Files are the units."""

    @model_validator(mode="after")
    def _units_from_one_place(self) -> CommandConfig:
        if sum(map(bool, (self.items, self.lines_of, self.files))) != 1:
            raise FieldError("needs one of `items`, `lines_of` and `files`", "say in one way what the units are")
        return self


class ExitCodeConfig(Strict):
    """The exit code tells."""

    kind: Literal["exit-code"]
    """The unit is the case."""
    success: Items[ExitCode] = Field(default=(0,), min_length=1)
    """Exit codes that mean `passed`."""


class OutputConfig(Strict):
    """Regular expressions (Python's) over what the test prints; a group `case` names the case, `message` says why."""

    kind: Literal["output"]
    """The cases are found in the output."""
    passed: Items[Regex] = ()
    """Each match is a case that passed."""
    failed: Items[Regex] = ()
    """Each match is a case that failed."""

    @model_validator(mode="after")
    def _finds_something(self) -> OutputConfig:
        if not (self.passed or self.failed):
            raise FieldError("has neither `passed` nor `failed`", "give at least one regular expression")
        return self


class JsonConfig(Strict):
    """The test writes a JSON file that names its cases."""

    kind: Literal["json"]
    """The cases are listed in a file."""
    path: ResultPath
    """The file, relative to the test's working directory; placeholders as in `env`."""
    passed: DottedPath
    """Dotted path to the list of cases that passed."""
    failed: DottedPath
    """Dotted path to the list of cases that failed."""
    messages: DottedPath | None = None
    """Dotted path to an object from case name to message."""


class LibtestVerdictConfig(Strict):
    """What Rust's own test harness prints tells."""

    kind: Literal["libtest"]
    """The cases are tests of the harness."""


class TimeoutConfig(Strict):
    """How long an attempt may take. A plain duration is the same as `max` alone."""

    factor: float | None = Field(default=None, gt=1, le=1000)
    """So many times the longest duration known of the unit, from earlier runs or this one; twice that after each
    timeout in a row. Without it every attempt may take `max`."""
    floor: Duration = 10.0
    """But at least this long."""
    max: Duration = 300.0
    """But at most this long, and a unit of which no duration is known may take this long."""

    @model_validator(mode="after")
    def _floor_is_below_max(self) -> TimeoutConfig:
        if self.factor is not None and self.floor > self.max:
            raise FieldError("`floor` is more than `max`", "raise `max`, or lower `floor`")
        return self


class CanaryConfig(Strict):
    """Two units of which it is known how they end: `sltfleet doctor --suite NAME` runs them to test the verdict."""

    passing: UnitId
    """A unit that passes."""
    failing: UnitId
    """A unit that fails, by itself: no crash, no timeout."""

    @model_validator(mode="after")
    def _differ(self) -> CanaryConfig:
        if self.passing == self.failing:
            raise FieldError("is one unit for both", "name one unit that passes and another one that fails")
        return self


class SuiteConfig(Strict):
    """What is built and how it is run."""

    build: Annotated[BuildConfig, BeforeValidator(read_section)] = Field(default_factory=BuildConfig)
    """What is built; `command` units may need nothing."""
    units: FilesConfig | PartitionsConfig | LibtestConfig | CommandConfig = Field(discriminator="kind")
    """What is handed to the workers, one at a time."""
    verdict: ExitCodeConfig | OutputConfig | JsonConfig | LibtestVerdictConfig = Field(
        default_factory=lambda: ExitCodeConfig(kind="exit-code"), discriminator="kind"
    )
    """How an attempt tells what passed and what failed; default: by its exit code, `libtest` units by its output."""
    canary: CanaryConfig | None = None
    """Units that are known to pass and to fail: `sltfleet doctor --suite NAME` holds the verdict against them."""
    args: Items[Template] = ()
    """Arguments of the test executable; placeholders as in `env`."""
    env: dict[EnvName, Template] = Field(default_factory=dict)
    """Environment of every attempt; values may hold placeholders such as `{unit}`."""
    timeout: Annotated[TimeoutConfig, BeforeValidator(read_timeout)] = Field(default_factory=TimeoutConfig)
    """An attempt that takes longer is ended, with the outcome `timeout`: a duration (default: 5 minutes), or a multiple
    of what is known of the unit."""
    quarantine_after: int = Field(default=3, ge=1)
    """A unit that times out so often in a row is run once in 10 passes only, and such units one at a time."""
    retry_weight: int = Field(default=3, ge=1, le=100)
    """Failing and flaky units are attempted so often per pass, after the first pass; 1: as often as the others. The
    further attempts take at most a third of a pass' own time. A run with `--passes` has none."""
    memory_limit: Size | None = None
    """An attempt whose processes use more memory than this together is ended, with the outcome `oom`."""
    memory_reserve: Size | None = None
    """When less memory than this is available on the host, the youngest attempt is stopped and queued again; default:
    a twentieth of the memory, at most 512 MiB."""
    kill_after: Duration = 5.0
    """From SIGTERM to SIGKILL."""
    budget: Duration = 3600.0
    """How long a run lasts."""
    workdir: Literal["shared", "per-worker"] = "shared"
    """`per-worker` gives every worker a view of the tree with a `target/` of its own."""
    output_limit: Size = 4 * 1024 * 1024
    """Of one attempt's output, the head and the tail are kept, so much together."""
    artifacts_limit: Size = 2 * 1024 * 1024 * 1024
    """Of all kept outputs of a run on one host."""
    nice: int = Field(default=10, ge=0, le=19)
    """Attempts run at this nice value, so that the runner can start the next one at once."""

    @model_validator(mode="before")
    @classmethod
    def _libtest_tells_of_its_tests(cls, values: object) -> object:
        if not isinstance(values, dict) or "verdict" in values:
            return values
        units = values.get("units")
        kind = units.get("kind") if isinstance(units, dict) else getattr(units, "kind", None)
        return {**values, "verdict": {"kind": "libtest"}} if kind == "libtest" else values

    @property
    def needs_cargo(self) -> bool:
        """Whether cargo builds it: it names a test target, or has every test as a unit."""
        return self.build.test is not None or self.units.kind == "libtest"


class FleetConfig(Strict):
    """A project, the hosts of its fleet and the suites that they run."""

    project: SafeName
    """Names the folder on the hosts."""
    repo: LocalPath = "."
    """What is synced, relative to this file."""
    ssh_config: LocalPath | None = None
    """Another ssh config than ~/.ssh/config, relative to this file; `--ssh-config` and SLTFLEET_SSH_CONFIG win."""
    default_suite: SafeName | None = None
    """The suite that `run` takes without `--suite`; default: the only one, or the first."""
    sync: Annotated[SyncConfig, BeforeValidator(read_section)] = Field(default_factory=SyncConfig)
    """What is synced."""
    hosts: dict[HostName, Annotated[HostConfig, BeforeValidator(read_section)]] = Field(min_length=1)
    """The fleet: settings by host; a host without settings is a name and a colon."""
    suites: dict[SafeName, SuiteConfig] = Field(min_length=1)
    """What can be run, by name."""
