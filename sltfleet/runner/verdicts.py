"""From what an attempt left behind to its outcome and its cases. Pure: files are read by `collect`.

Real suites lie: one exits 0 although files failed, another exits 101 although every case that it lists passed. So an
attempt passes only where everything that can be asked agrees: no failed case and an exit code that means success.
Where a verdict names no failed case, `conclude` lets the unit itself stand for it.
"""

from __future__ import annotations

import json
import re
import signal as signals
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from sltfleet.runner.libtest import read_run
from sltfleet.wire import outcome as outcomes
from sltfleet.wire.events import FailedCase
from sltfleet.wire.spec import ExitCodeVerdict, JsonVerdict, OutputVerdict

#: A verdict file larger than this is not read.
MAX_JSON_BYTES = 64 * 1024 * 1024

MIB = 1024 * 1024

MAX_NAME_CHARS = 500
MAX_MESSAGE_CHARS = 2000
#: Beyond so many failed cases of one attempt only the names are kept.
MAX_MESSAGES = 200


@dataclass(frozen=True)
class Verdict:
    """What an attempt says of itself: `outcome` is PASS, FAIL or SKIP; `failed` may be empty for a FAIL.

    `running`: the case that had begun and not ended, with what it said, where that is known. `skipped`: cases that were
    reached and not run.
    """

    outcome: str
    passed: Tuple[str, ...] = ()
    failed: Tuple[FailedCase, ...] = ()
    message: str = ""
    running: Optional[FailedCase] = None
    skipped: Tuple[str, ...] = ()


@dataclass(frozen=True)
class TimedOut:
    """The runner ended the attempt: it took longer than `limit_s`."""

    limit_s: float


@dataclass(frozen=True)
class CutShort:
    """The runner ended the attempt because the run ends, for one of `sltfleet.wire.state.REASONS`."""

    reason: str


@dataclass(frozen=True)
class Displaced:
    """The runner stopped the attempt because only `available_bytes` of the host's memory were left; it comes again."""

    available_bytes: int


@dataclass(frozen=True)
class OverLimit:
    """The runner ended the attempt: its processes used `used_bytes` of memory, more than `limit_bytes`."""

    used_bytes: int
    limit_bytes: int


@dataclass(frozen=True)
class OomKilled:
    """The kernel killed the attempt for want of memory."""


Cause = Union[TimedOut, CutShort, Displaced, OverLimit, OomKilled]


def conclude(
    verdict: Verdict, unit: str, exit_code: Optional[int], signal: Optional[int], cause: Optional[Cause]
) -> Verdict:
    """Return the final verdict of an attempt that ended by itself (`cause` None) or was ended for a cause.

    What the runner cut has no cases; everything else that speaks against the test has at least one failed case.
    """
    if isinstance(cause, CutShort):
        return Verdict(outcomes.CUT, message=f"ended with the run ({cause.reason})")
    if isinstance(cause, Displaced):
        left = f"{cause.available_bytes / MIB:.0f} MiB"
        return Verdict(outcomes.CUT, message=f"stopped and queued again: only {left} of memory were available")
    if isinstance(cause, OverLimit):
        used, limit = f"{cause.used_bytes / MIB:.0f} MiB", f"{cause.limit_bytes / MIB:.0f} MiB"
        return _against(outcomes.OOM, verdict, unit, f"used {used} of memory, its limit is {limit}")
    if isinstance(cause, OomKilled):
        return _against(outcomes.OOM, verdict, unit, "killed by the kernel: the host ran out of memory")
    if isinstance(cause, TimedOut):
        return _against(outcomes.TIMEOUT, verdict, unit, f"timed out after {cause.limit_s:g} s")
    if signal is not None:
        return _against(outcomes.CRASH, verdict, unit, f"ended by {_signal_name(signal)}")
    if verdict.outcome == outcomes.FAIL:
        return _against(outcomes.FAIL, verdict, unit, verdict.message or f"exit code {exit_code}")
    return verdict


def judge_exit_code(rule: ExitCodeVerdict, unit: str, exit_code: Optional[int]) -> Verdict:
    """The exit code alone decides, and the unit is the only case."""
    if exit_code in rule.success:
        return Verdict(outcomes.PASS, passed=(unit,))
    return Verdict(outcomes.FAIL, message="" if exit_code is None else f"exit code {exit_code}")


def judge_output(rule: OutputVerdict, unit: str, exit_code: Optional[int], output: bytes) -> Verdict:
    """Each match of a pattern in the kept output is a case; without a match the exit code decides."""
    text = output.decode("utf-8", "replace")
    passed = _matches(rule.passed, text, unit)
    failed = [FailedCase(name, message) for name, message in _matches(rule.failed, text, unit)]
    if not passed and not failed:
        return judge_exit_code(ExitCodeVerdict(), unit, exit_code)
    return _weigh([name for name, _ in passed], failed, exit_code)


def judge_json(rule: JsonVerdict, exit_code: Optional[int], document: bytes) -> Verdict:
    """Two lists in a JSON document name the cases. A document of another shape is a failure that says so."""
    try:
        raw: object = json.loads(document)
    except (ValueError, RecursionError) as error:
        return unreadable(f"the verdict file {rule.path} is not JSON: {error}")
    try:
        messages = _messages(raw, rule.messages)
        passed = [name for name, _ in _cases(raw, rule.passed, messages)]
        failed = [FailedCase(name, message) for name, message in _cases(raw, rule.failed, messages)]
    except _WrongShapeError as error:
        return unreadable(f"the verdict file {rule.path}: {error}")
    return _weigh(passed, failed, exit_code)


def judge_libtest(tests: Sequence[str], prefix: str, exit_code: Optional[int], output: bytes) -> Verdict:
    """What Rust's harness printed about `tests` (none: about all that it ran); a case is `prefix` and a test's name.

    Nothing passes unless the harness said goodbye: a test that exits with 0 takes the verdict of all others with it.
    """
    run = read_run(output.decode("utf-8", "replace"), tests)
    passed = [prefix + name for name in run.passed]
    failed = [FailedCase(prefix + name, message) for name, message in run.failed.items()]
    skipped = tuple(_clean(prefix + name, MAX_NAME_CHARS) for name in run.ignored)
    if not run.whole:
        code = "" if exit_code is None else f" (exit code {exit_code})"
        good, bad = _tidy(passed, failed)
        running = None
        if run.running is not None:
            name = _clean(prefix + run.running, MAX_NAME_CHARS)
            running = FailedCase(name, _clean(run.panic, MAX_MESSAGE_CHARS))
        message = f"the process ended before the harness's summary{code}"
        return Verdict(outcomes.FAIL, good, bad, message, running, skipped)
    missing = len(tests) - len(run.passed) - len(run.failed) - len(run.ignored)
    if missing > 0 and not failed:
        return unreadable("the executable did not run the test: it does not know its name any more")
    verdict = _weigh(passed, failed, exit_code)
    if verdict.outcome == outcomes.SKIP and skipped:
        return Verdict(outcomes.SKIP, message="marked with #[ignore]", skipped=skipped)
    return replace(verdict, skipped=skipped)


def unreadable(problem: str) -> Verdict:
    """The verdict of an attempt whose verdict cannot be read: never a pass."""
    return Verdict(outcomes.FAIL, message=problem[:MAX_MESSAGE_CHARS])


class _WrongShapeError(ValueError):
    """The JSON document has not the shape that the rule says."""


def _weigh(passed: Iterable[str], failed: Iterable[FailedCase], exit_code: Optional[int]) -> Verdict:
    """Cases and exit code together."""
    good, bad = _tidy(passed, failed)
    if bad:
        return Verdict(outcomes.FAIL, good, bad, bad[0].message or f"{bad[0].name} failed")
    if exit_code != 0:
        return Verdict(outcomes.FAIL, good, message=f"exit code {exit_code} though no case failed")
    if not good:
        return Verdict(outcomes.SKIP, message="the attempt names no case at all")
    return Verdict(outcomes.PASS, good)


def _tidy(passed: Iterable[str], failed: Iterable[FailedCase]) -> Tuple[Tuple[str, ...], Tuple[FailedCase, ...]]:
    """Each case once, within the bounds: one that both passed and failed has failed."""
    bad: Dict[str, FailedCase] = {}
    for case in failed:
        name = _clean(case.name, MAX_NAME_CHARS)
        if name not in bad:
            bad[name] = FailedCase(name, _clean(case.message, MAX_MESSAGE_CHARS) if len(bad) < MAX_MESSAGES else "")
    names = dict.fromkeys(_clean(name, MAX_NAME_CHARS) for name in passed)
    return tuple(name for name in names if name not in bad), tuple(bad.values())


def _against(outcome: str, verdict: Verdict, unit: str, message: str) -> Verdict:
    message = _clean(message, MAX_MESSAGE_CHARS)
    failed = verdict.failed
    if verdict.running is not None:
        said = f"{message}: {verdict.running.message}" if verdict.running.message else message
        failed += (FailedCase(verdict.running.name, _clean(said, MAX_MESSAGE_CHARS)),)
    failed = failed or (FailedCase(_clean(unit, MAX_NAME_CHARS), message),)
    return Verdict(outcome, tuple(name for name in verdict.passed if name != failed[0].name), failed, message)


def _matches(patterns: Iterable[str], text: str, unit: str) -> List[Tuple[str, str]]:
    found: List[Tuple[str, str]] = []
    for pattern in patterns:
        for match in re.finditer(pattern, text, re.MULTILINE):
            groups = match.groupdict()
            found.append((groups.get("case") or unit, groups.get("message") or ""))
    return found


def _lookup(raw: object, path: str) -> object:
    value = raw
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise _WrongShapeError(f"it has no {path!r}")
        value = value[key]
    return value


def _messages(raw: object, path: Optional[str]) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        value = _lookup(raw, path)
    except _WrongShapeError:
        return {}  # a suite may leave it out when nothing failed
    if not isinstance(value, Mapping):
        raise _WrongShapeError(f"{path!r} is not an object of messages")
    return value


def _cases(raw: object, path: str, messages: Mapping[str, Any]) -> List[Tuple[str, str]]:
    value = _lookup(raw, path)
    if not isinstance(value, list):
        raise _WrongShapeError(f"{path!r} is not a list")
    found: List[Tuple[str, str]] = []
    for index, entry in enumerate(value):
        message: object = ""
        if isinstance(entry, Mapping):
            name = entry.get("name", entry.get("file"))
            message = entry.get("message", "")
        else:
            name = entry
        if not isinstance(name, str):
            raise _WrongShapeError(f"{path}[{index}] is neither a name nor an object with a 'name' or a 'file'")
        message = message or messages.get(name, "")
        found.append((name, message if isinstance(message, str) else json.dumps(message)))
    return found


def _clean(text: str, limit: int) -> str:
    """Return the text cut at `limit` characters, without lone surrogates, which no database and no terminal takes."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
