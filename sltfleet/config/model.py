"""What fleet.yaml says, as types. `config.load` makes them from the file; everything else only reads them.

Every field has a description: the JSON Schema and the reference in docs/fleet-yaml.md are made from this module. Durations are
written as `300`, `300s`, `5m`, `1h30m` and are seconds here; sizes as `4MiB`, `500kB`, `1GiB` and are bytes here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sltfleet.config.fields import DURATION_PATTERN, SIZE_PATTERN, read_duration, read_glob, read_size, read_template
from sltfleet.core.paths import DEFAULT_ROOT

Duration = Annotated[
    float,
    BeforeValidator(read_duration),
    Field(gt=0, json_schema_extra={"type": ["number", "string"], "pattern": DURATION_PATTERN}),
]
Size = Annotated[
    int,
    BeforeValidator(read_size),
    Field(gt=0, json_schema_extra={"type": ["integer", "string"], "pattern": SIZE_PATTERN}),
]
Glob = Annotated[str, BeforeValidator(read_glob)]
Template = Annotated[str, BeforeValidator(read_template)]


class Strict(BaseModel):
    """No unknown key, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class SyncConfig(Strict):
    """What is synced to the hosts."""

    gitignore: bool = True
    """Leave out what git ignores (.gitignore files at every level, .git/info/exclude, the person's global excludes)."""
    exclude: tuple[str, ...] = ("target/", ".git/", "node_modules/")
    """Further patterns to leave out, in .gitignore's syntax, relative to the repo."""
    include: tuple[str, ...] = ()
    """Patterns to bring although git ignores them (generated test data, say), in .gitignore's syntax."""
    max_delete: int = Field(default=1000, ge=0)
    """A sync that would delete more files than this on a host deletes none and says so."""


class HostConfig(Strict):
    """One host. The name is an ssh alias: `~/.ssh/config` decides user, port, key and jump host."""

    transport: Literal["ssh", "local"] = "ssh"
    """`ssh`, or `local` for this very machine without ssh."""
    address: str | None = None
    """The ssh destination where it is not the host's name: an alias, `name` or `user@name`."""
    workers: int | None = Field(default=None, ge=1, le=4096)
    """Workers on this host; default: the cores that the host may use."""
    tags: tuple[str, ...] = ()
    """Words to select hosts by, with `--tag`."""
    root: str = DEFAULT_ROOT
    """The folder on the host below which the project's own folder is made."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment for builds and tests on this host."""


class BuildConfig(Strict):
    """What `cargo test --no-run` builds."""

    test: str
    """The test target (`cargo test --test NAME`)."""
    package: str | None = None
    """The package, in a workspace (`cargo test --package NAME`)."""
    manifest: str = "Cargo.toml"
    """The Cargo.toml to build from, relative to the repo."""
    profile: str | None = None
    """The cargo profile (`--profile NAME`), e.g. `release`; default: cargo's own for tests."""
    features: tuple[str, ...] = ()
    """Cargo features (`--features`)."""
    all_features: bool = False
    """All cargo features (`--all-features`)."""
    default_features: bool = True
    """`false` for `--no-default-features`."""
    target: str | None = None
    """The target triple (`--target`), where it is not the host's own."""
    locked: bool = False
    """`--locked`: fail where Cargo.lock would change."""
    jobs: int | None = Field(default=None, ge=1)
    """`--jobs N` for cargo."""
    toolchain: str | None = None
    """A rustup toolchain (`cargo +NAME`)."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment for the build, e.g. RUSTFLAGS."""
    timeout: Duration = 3600.0
    """A build that takes longer is ended."""


class FilesConfig(Strict):
    """One unit per file."""

    kind: Literal["files"]
    root: str
    """The folder of the files, relative to the repo."""
    include: tuple[Glob, ...] = ("**/*",)
    """Globs below `root`; `**` stands for any number of folders."""
    exclude: tuple[Glob, ...] = ()
    """Globs below `root` to leave out."""


class PartitionsConfig(Strict):
    """Units are shares `k of count` of a suite that can only be told its share."""

    kind: Literal["partitions"]
    count: int = Field(ge=1, le=1_000_000)
    """How many shares; many times the workers, so that they are small and nobody waits."""
    first: Literal[0, 1] = 0
    """The number of the first share, as the suite counts."""


class ExitCodeConfig(Strict):
    """The exit code tells."""

    kind: Literal["exit-code"]
    success: tuple[int, ...] = (0,)
    """Exit codes that mean `passed`."""


class OutputConfig(Strict):
    """Regular expressions (Python's) over what the test prints; a group `case` names the case, `message` says why."""

    kind: Literal["output"]
    passed: tuple[str, ...] = ()
    """Each match is a case that passed."""
    failed: tuple[str, ...] = ()
    """Each match is a case that failed."""


class JsonConfig(Strict):
    """The test writes a JSON file that names its cases."""

    kind: Literal["json"]
    path: Template
    """The file, relative to the test's working directory; placeholders as in `env`."""
    passed: str
    """Dotted path to the list of cases that passed."""
    failed: str
    """Dotted path to the list of cases that failed."""
    messages: str | None = None
    """Dotted path to an object from case name to message."""


class SuiteConfig(Strict):
    """What is built and how it is run."""

    build: BuildConfig
    units: FilesConfig | PartitionsConfig = Field(discriminator="kind")
    verdict: ExitCodeConfig | OutputConfig | JsonConfig = Field(
        default_factory=lambda: ExitCodeConfig(kind="exit-code"), discriminator="kind"
    )
    args: tuple[Template, ...] = ()
    """Arguments of the test executable; placeholders as in `env`."""
    env: dict[str, Template] = Field(default_factory=dict)
    """Environment of every attempt; values may hold placeholders such as `{unit}`."""
    timeout: Duration = 300.0
    """An attempt that takes longer is ended, with the outcome `timeout`."""
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


class FleetConfig(Strict):
    """fleet.yaml."""

    project: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Names the folder on the hosts."""
    repo: str = "."
    """What is synced, relative to this file."""
    ssh_config: str | None = None
    """Another ssh config than ~/.ssh/config, relative to this file; `--ssh-config` and SLTFLEET_SSH_CONFIG go before it."""
    default_suite: str | None = None
    """The suite that `run` takes without `--suite`; default: the only one, or the first."""
    sync: SyncConfig = Field(default_factory=SyncConfig)
    hosts: dict[str, HostConfig] = Field(min_length=1)
    """The fleet."""
    suites: dict[str, SuiteConfig] = Field(min_length=1)
    """What can be run."""
