"""How single values of fleet.yaml are read: durations, sizes, globs, templates, regular expressions.

Each reader takes whatever stands in the file and returns the value for the model, or raises FieldError; a value of a
type it knows nothing of is returned as it is, for pydantic to refuse. Names and paths are in `config.names`.
"""

from __future__ import annotations

import re

from pydantic import BaseModel

from sltfleet.config.queue_url import SHAPE, QueueUrl, QueueUrlError, read_queue_url
from sltfleet.core.duration import DURATION_PATTERN, DurationError, check_duration, parse_duration
from sltfleet.core.gitignore import parse_patterns
from sltfleet.core.nearest import did_you_mean, nearest
from sltfleet.core.size import SIZE_PATTERN, SizeError, check_size, parse_size
from sltfleet.wire.globs import GlobError, compile_glob
from sltfleet.wire.template import PLACEHOLDERS, TemplateError, check_template

__all__ = [
    "DURATION_PATTERN",
    "SIZE_PATTERN",
    "FieldError",
    "SourceFloat",
    "SourceInt",
    "read_duration",
    "read_env_value",
    "read_glob",
    "read_list",
    "read_queue",
    "read_regex",
    "read_section",
    "read_size",
    "read_sync_pattern",
    "read_template",
    "read_timeout",
]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
#: The groups of a regular expression of a verdict that mean something.
_GROUPS = ("case", "message")


class FieldError(ValueError):
    """A value cannot be used: `message` in plain words, `hint` says what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SourceInt(int):
    """A whole number that remembers how it is written in the file."""

    source: str

    @classmethod
    def read(cls, text: str) -> SourceInt:
        """Return the number that `text` is."""
        number = cls(text)
        number.source = text
        return number


class SourceFloat(float):
    """A number that remembers how it is written in the file: `1.10` is not `1.1` in an environment variable."""

    source: str

    @classmethod
    def read(cls, text: str) -> SourceFloat:
        """Return the number that `text` is."""
        number = cls(text)
        number.source = text
        return number


def read_duration(value: object) -> object:
    """Return the seconds of a number or a text. Raises FieldError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise FieldError("expected a duration", "write seconds, or a text such as 90s, 5m or 1h30m")
    try:
        return parse_duration(value) if isinstance(value, str) else float(check_duration(value))
    except DurationError as error:
        raise FieldError(str(error)) from None


def read_timeout(value: object) -> object:
    """Return a timeout's settings: a plain duration is the longest that an attempt may take. Raises FieldError."""
    return value if isinstance(value, (dict, BaseModel)) else {"max": read_duration(value)}


def read_size(value: object) -> object:
    """Return the bytes of a whole number or a text. Raises FieldError."""
    if isinstance(value, (bool, float)) or not isinstance(value, (int, str)):
        raise FieldError("expected a size", "write bytes, or a text such as 500kB, 4MiB or 1GiB")
    try:
        return parse_size(value) if isinstance(value, str) else check_size(value)
    except SizeError as error:
        raise FieldError(str(error)) from None


def check_text(value: object) -> object:
    """Return what a command line and a file's name can carry. Raises FieldError for a NUL or half a character."""
    if isinstance(value, str) and any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        raise FieldError("has a NUL character, or one that is none", "no argument and no file's name can carry it")
    return value


def read_glob(value: object) -> object:
    """Return a glob that `sltfleet.wire.globs` understands. Raises FieldError."""
    check_text(value)
    if isinstance(value, str):
        try:
            compile_glob(value)
        except GlobError as error:
            raise FieldError(str(error)) from None
    return value


def read_sync_pattern(value: object) -> object:
    """Return a pattern of .gitignore's syntax without a `!`, which would contradict its key. Raises FieldError."""
    if isinstance(value, str) and any(pattern.negated for pattern in parse_patterns(value)):
        hint = "write it in the other one of `include` and `exclude`, without the `!`"
        raise FieldError(f"{value!r} begins with `!`", hint)
    return check_text(value)


def read_regex(value: object) -> object:
    """Return a regular expression that compiles the way the runner compiles it. Raises FieldError."""
    if isinstance(value, str):
        try:
            groups = re.compile(value, re.MULTILINE).groupindex
        except (re.error, OverflowError, RecursionError) as error:
            raise FieldError(f"{value!r} is no regular expression: {error}") from None
        for name in groups:
            # Other groups may serve a back reference; one that is nearly right is a slip that would lose every name.
            meant = nearest(name, _GROUPS)
            if meant and name not in _GROUPS:
                raise FieldError(f"the group {name!r} means nothing here", f"did you mean {meant!r}?")
    return value


def read_queue(value: object) -> QueueUrl | None:
    """Return the address of a queue; nothing and "" mean that there is none. Raises FieldError, without the secret."""
    if value is None or value == "":
        return None
    if isinstance(value, QueueUrl):
        return value
    if not isinstance(value, str):
        raise FieldError("expected the address of a queue", SHAPE)
    try:
        return read_queue_url(value)
    except QueueUrlError as error:
        raise FieldError(error.message, error.hint) from None


def read_env_value(value: object) -> object:
    """Return the text of an environment variable; a number is as it was written. Raises FieldError."""
    if isinstance(value, (SourceInt, SourceFloat)):
        return value.source
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return check_text(value)


def read_template(value: object) -> object:
    """Return a text with placeholders of `sltfleet.wire.template`; numbers are taken as text. Raises FieldError."""
    text = read_env_value(value)
    if isinstance(text, str):
        try:
            check_template(text)
        except TemplateError as error:
            unknown = next((name for name in _PLACEHOLDER.findall(text) if name not in PLACEHOLDERS), "")
            raise FieldError(str(error), did_you_mean(unknown, PLACEHOLDERS)) from None
    return text


def read_list(value: object) -> object:
    """Return a tuple for a list: strict types know no conversion between the two, and YAML knows only one of them."""
    return tuple(value) if isinstance(value, list) else value


def read_section(value: object) -> object:
    """Return an empty mapping for nothing: `my-host:` without anything below it means that all has its default."""
    return {} if value is None else value
