"""What a suite's `units` may be: the kinds of smallest things that are handed to a worker."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sltfleet.config.fields import FieldError
from sltfleet.config.types import Duration, Glob, InnerPath, Items, Strict, Template


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
