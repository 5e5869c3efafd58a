"""What a suite's `verdict` may be: the ways in which an attempt tells what passed and what failed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sltfleet.config.fields import FieldError
from sltfleet.config.types import DottedPath, ExitCode, Items, Regex, ResultPath, Strict


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
