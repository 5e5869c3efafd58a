"""Where text goes: results to standard output, progress and problems to standard error; colour where it is wanted."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import IO

import click

from sltfleet.core.errors import UsageError
from sltfleet.report.sanitize import without_secrets

GOOD, BAD, WARN, DIM = "green", "red", "yellow", "bright_black"


def wants_color(stream: IO[str]) -> bool:
    """Whether to colour: FORCE_COLOR and NO_COLOR decide (no-color.org), else whether the stream is a terminal."""
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def is_live(stream: IO[str] | None = None) -> bool:
    """Whether a display that redraws itself makes sense: a terminal that is not dumb."""
    chosen = sys.stderr if stream is None else stream
    return chosen.isatty() and os.environ.get("TERM") != "dumb"


def say(text: str = "") -> None:
    """Print a result. Raises UsageError where it cannot be written, BrokenPipeError where its reader has left."""
    try:
        click.echo(text, color=wants_color(sys.stdout))
    except BrokenPipeError:
        raise
    except OSError as error:
        # What still waits in the buffer must not be tried again at the program's end.
        forget_output(sys.stdout.fileno())
        fix = "send it somewhere else: the disk may be full, or the terminal gone"
        raise UsageError("standard output cannot be written to", error.strerror or str(error), fix) from error


def forget_output(descriptor: int) -> None:
    """Let a descriptor lead nowhere from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def say_json(value: object) -> None:
    """Print a JSON value. Escaped as it is, it cannot carry a control character to the terminal."""
    say(json.dumps(_without_secrets(value), indent=2))


def _without_secrets(value: object) -> object:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {without_secrets(str(key)): _without_secrets(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(item) for item in value]
    return value


def tell(text: str) -> None:
    """Print progress or a problem, on standard error. Raises BrokenPipeError where its reader has left."""
    try:
        click.echo(text, err=True, color=wants_color(sys.stderr))
    except BrokenPipeError:
        raise
    except OSError:  # there is nobody left to be told
        forget_output(sys.stderr.fileno())


def style(text: str, colour: str | None = None, *, bold: bool = False) -> str:
    """Return `text` with colour codes, which `say` and `tell` take out again where colour is not wanted."""
    return click.style(text, fg=colour, bold=bold or None)
