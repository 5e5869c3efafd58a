"""Errors as text: what failed, where, why, and what to do next. The only place that words them for a terminal."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from sltfleet.core.errors import ConfigError, FleetError
from sltfleet.report.sanitize import visible
from sltfleet.report.terminal import BAD, GOOD, WARN, style, tell

#: Of a long detail (what a compiler printed), so many lines are shown.
MAX_DETAIL_LINES = 60


def show_error(error: FleetError, hosts: Sequence[str] = ()) -> None:
    """Print an error to stderr; `hosts` are all that have it, where that is more than its own."""
    for line in error_lines(error, hosts):
        tell(line)


def show_defect(error: Exception) -> None:
    """Print what is said of an exception that no code expected."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({place[0].name}, line {place[0].lineno})" if place else ""
    tell(f"{_label('error')} sltfleet has a defect: {visible(f'{type(error).__name__}: {error}')}{where}")
    tell(f"  {_label('next')} run it again with -v for the traceback, and report that")


def show_interruption(next_words: str) -> None:
    """Print that a command was interrupted, and what to type next."""
    tell("interrupted")
    tell(f"  {_label('next')} {visible(next_words)}")


def show_traceback(error: BaseException) -> None:
    """Print the traceback of an error, for `-v`."""
    tell(visible("".join(traceback.format_exception(error)).rstrip("\n"), one_line=False))


def warning_lines(text: str, fix: str = "") -> list[str]:
    """Return the lines of something that a person should know, and that stops nothing."""
    lines = [f"{_label('warning')} {visible(text)}"]
    return [*lines, f"  {_label('next')} {visible(fix)}"] if fix else lines


def error_lines(error: FleetError, hosts: Sequence[str] = ()) -> list[str]:
    """Return the lines that tell of an error."""
    if isinstance(error, ConfigError) and error.problems:
        return _config_lines(error)
    places = ", ".join(visible(host) for host in hosts or (error.host,) if host)
    place = f"{places}: " if places else ""
    lines = [f"{_label('error')} {place}{visible(error.what)}"]
    if error.why:
        lines += _labelled("why", error.why)
    if error.command:
        lines += _labelled("command", error.command)
    if error.detail:
        lines += ["  | " + visible(line) for line in _shortened(error.detail.rstrip("\n").split("\n"))]
    if error.fix:
        lines += _labelled("next", error.fix)
    return lines


def _config_lines(error: ConfigError) -> list[str]:
    count = len(error.problems)
    lines = [f"{_label('error')} {visible(error.path)} has {count} mistake{'s' if count != 1 else ''}"]
    for problem in error.problems:
        hint = f"; {visible(problem.hint)}" if problem.hint else ""
        key = f"{visible(problem.key)}: " if problem.key else ""
        place = f":{problem.line}:{problem.column}" if problem.line else ""
        lines.append(f"  {visible(error.path)}{place}: {key}{visible(problem.message)}{hint}")
    if error.fix:
        lines += _labelled("next", error.fix)
    return lines


def _labelled(label: str, text: str) -> list[str]:
    first, *rest = text.rstrip("\n").split("\n")
    below = " " * (len(label) + 4)
    return [f"  {_label(label)} {visible(first)}", *(f"{below}{visible(line)}" for line in rest)]


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= MAX_DETAIL_LINES:
        return lines
    head = MAX_DETAIL_LINES // 2
    left_out = len(lines) - MAX_DETAIL_LINES
    return [*lines[:head], f"… {left_out} lines left out …", *lines[-(MAX_DETAIL_LINES - head) :]]


def _label(word: str) -> str:
    return style(f"{word}:", {"error": BAD, "next": GOOD, "warning": WARN}.get(word), bold=word == "error")
