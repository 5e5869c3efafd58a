"""What fleet.yaml says, as types. `config.load` makes them from the file; everything else only reads them.

The kinds of units and of verdicts have modules of their own, and so have the types of single values. Every field has a
description: the JSON Schema and the reference in docs/fleet-yaml.md are made from it. Durations are written as `300`,
`300s`, `5m`, `1h30m` and are seconds here; sizes as `4MiB`, `500kB`, `1GiB` and are bytes here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sltfleet.config.fields import FieldError, read_section, read_timeout
from sltfleet.config.types import (
    Duration,
    EnvName,
    EnvValue,
    HostName,
    InnerPath,
    Items,
    LocalPath,
    Queue,
    RootPath,
    SafeName,
    Size,
    Strict,
    SyncPattern,
    Template,
    Text,
    UnitId,
    Word,
)
from sltfleet.config.units import CommandConfig, FilesConfig, LibtestConfig, PartitionsConfig
from sltfleet.config.verdicts import ExitCodeConfig, JsonConfig, LibtestVerdictConfig, OutputConfig
from sltfleet.core.paths import DEFAULT_ROOT


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
    command: Items[Text] = ()
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
    queue: Queue = None
    """A Redis or Valkey that all hosts reach, from which they share the units:
    `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS. The variable SLTFLEET_QUEUE wins: a
    password should stand there, and not in a file."""
    hosts: dict[HostName, Annotated[HostConfig, BeforeValidator(read_section)]] = Field(min_length=1)
    """The fleet: settings by host; a host without settings is a name and a colon."""
    suites: dict[SafeName, SuiteConfig] = Field(min_length=1)
    """What can be run, by name."""
