"""Reads what a verdict needs once an attempt is over, and makes sure beforehand that nothing stale can be read.

The rules themselves are in `verdicts`. Reading is bounded: a verdict file by its size, regular expressions by time,
since one bad pattern must not hold up every worker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from types import FrameType
from typing import Iterator, Mapping, Optional, Sequence, Tuple, Union

from sltfleet.runner.files import read_up_to, remove_file
from sltfleet.runner.outputs import GrowingOutput
from sltfleet.runner.verdicts import (
    MAX_JSON_BYTES,
    Verdict,
    judge_exit_code,
    judge_json,
    judge_libtest,
    judge_output,
    unreadable,
)
from sltfleet.wire.spec import ExitCodeVerdict, JsonVerdict, LibtestVerdict, OutputVerdict, VerdictRule
from sltfleet.wire.template import expand_template

#: So long the patterns of an `output` verdict may take for one attempt.
PATTERN_LIMIT_S = 2.0

#: What tells one file from another that took its place: inode, change time, size.
_Stamp = Tuple[int, int, int]


class PatternTimeoutError(Exception):
    """The patterns took longer than PATTERN_LIMIT_S."""


class Collector:
    """Collects the verdict of one attempt: made before it starts, asked after it ended."""

    def __init__(
        self, rule: VerdictRule, folder: str, values: Mapping[str, str], tests: Sequence[str] = (), prefix: str = ""
    ) -> None:
        """`folder`: the working directory; `values`: the attempt's template values. Removes a stale verdict file.

        `tests`: the libtest tests that the attempt runs, where they are known; `prefix` makes their names cases.
        """
        self._rule = rule
        self._unit = values["unit"]
        self._tests = tests
        self._prefix = prefix
        self._path = ""
        self._shown_path = ""
        self._stale: Optional[_Stamp] = None
        if isinstance(rule, JsonVerdict):
            self._shown_path = expand_template(rule.path, values)
            self._path = os.path.join(folder, self._shown_path)
            try:
                _make_way(self._path)
            except OSError:
                self._stale = _stamp(self._path)

    def collect(self, exit_code: Optional[int], output: Optional[GrowingOutput]) -> Verdict:
        """Return what the attempt says of itself; `exit_code` is None where a signal ended it."""
        rule = self._rule
        if isinstance(rule, ExitCodeVerdict):
            return judge_exit_code(rule, self._unit, exit_code)
        if isinstance(rule, (OutputVerdict, LibtestVerdict)):
            return self._from_output(rule, exit_code, output)
        return self._from_file(rule, exit_code)

    def _from_output(
        self, rule: Union[OutputVerdict, LibtestVerdict], exit_code: Optional[int], output: Optional[GrowingOutput]
    ) -> Verdict:
        try:
            kept = output.kept()[0] if output is not None else b""
        except OSError as error:
            return unreadable(f"the output cannot be read: {error.strerror}")
        try:
            with _time_limit(PATTERN_LIMIT_S):
                if isinstance(rule, LibtestVerdict):
                    return judge_libtest(self._tests, self._prefix, exit_code, kept)
                return judge_output(rule, self._unit, exit_code, kept)
        except PatternTimeoutError:
            return unreadable(f"the verdict's patterns took more than {PATTERN_LIMIT_S:g} s for {len(kept)} bytes")

    def _from_file(self, rule: JsonVerdict, exit_code: Optional[int]) -> Verdict:
        what = f"the verdict file {self._shown_path}"
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return unreadable(f"{what} was not written (exit code {exit_code})")
        except OSError as error:
            return unreadable(f"{what} cannot be opened: {error.strerror}")
        try:
            info = os.fstat(fd)
            if self._stale is not None and self._stale == _stamp_of(info):
                return unreadable(f"{what} is older than the attempt, and could not be removed before it")
            if not stat.S_ISREG(info.st_mode):
                return unreadable(f"{what} is not a regular file")
            if info.st_size > MAX_JSON_BYTES:
                return unreadable(f"{what} is too large: {info.st_size} bytes")
            document = read_up_to(fd, info.st_size)
        except OSError as error:
            return unreadable(f"{what} cannot be read: {error.strerror}")
        finally:
            os.close(fd)
        return judge_json(rule, exit_code, document)


def _make_way(path: str) -> None:
    """Remove what an earlier attempt left in the verdict's place: a file, an empty folder. Raises OSError."""
    try:
        remove_file(path)
    except IsADirectoryError:
        os.rmdir(path)


def _stamp(path: str) -> Optional[_Stamp]:
    try:
        return _stamp_of(os.stat(path))
    except OSError:
        return None


def _stamp_of(info: os.stat_result) -> _Stamp:
    return info.st_ino, info.st_mtime_ns, info.st_size


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise PatternTimeoutError in the body after so many seconds: `re` looks for signals while it matches."""

    def expired(_number: int, _frame: Optional[FrameType]) -> None:
        raise PatternTimeoutError

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
