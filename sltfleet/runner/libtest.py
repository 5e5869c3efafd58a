"""Rust's own test harness: the arguments that it takes, and what it prints. Pure.

The text for people is read, since the machine-readable one is unstable. It comes with whatever the tests print: under
`--nocapture` and in crashes their text stands between, before and behind the harness's own. So names are only believed
where they are known beforehand, the list of failures under the summary outweighs the lines above it, and without a
summary nothing has passed as a whole. Source: library/test/src/formatters/pretty.rs of Rust 1.95.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Set, Tuple

#: What `ignored` of `sltfleet.wire.spec.LibtestUnits` may be, and the arguments that run such tests.
IGNORED: Dict[str, Tuple[str, ...]] = {
    "skip": (),
    "include": ("--include-ignored",),
    "only": ("--ignored",),
}

_SUMMARY = re.compile(r"^test result: (ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored;", re.MULTILINE)
_FAILURES = re.compile(r"^failures:\n((?:    .+\n)+)\n*\Z", re.MULTILINE)
_ANY_NAME = r"\S.*?"
_RESULT = re.compile(r"(ok|FAILED|ignored)(?:, .*| <[\d.]+s>| \(.*\))?\Z")
_BLOCK = re.compile(r"^---- (.+) stdout ----\n", re.MULTILINE)
_PANIC = re.compile(
    r"^thread '(?P<thread>[^'\n]*)'(?: \(\d+\))? panicked at "
    r"(?:'(?P<old>.*?)', (?P<old_place>\S+:\d+:\d+)$|(?P<place>[^\n]+):\n(?P<text>.*?))"
    r"(?=\nnote: |\nstack backtrace:|\n+thread '|\n*\Z)",
    re.MULTILINE | re.DOTALL,
)
#: What a test that returns an error, or does not panic though it should, leaves behind.
_REASON = re.compile(r"^(?:Error: .*|note: test did not panic.*)$", re.MULTILINE)


def list_arguments(ignored: str, *, only_ignored: bool = False) -> List[str]:
    """Return the arguments that list the tests: all of them, or those with `#[ignore]`."""
    return ["--list", "--format", "terse", *(IGNORED["only"] if only_ignored or ignored == "only" else ())]


def read_list(output: str) -> List[str]:
    """Return the tests of a list. Raises ValueError for a line that is none: the executable is of another harness."""
    names: List[str] = []
    for line in output.splitlines():
        name, separator, kind = line.rpartition(": ")
        if not separator or kind not in ("test", "benchmark"):
            raise ValueError(f"{line[:200]!r} is no line of libtest's list")
        if kind == "test":
            names.append(name)
    return names


def run_arguments(tests: Sequence[str], ignored: str) -> List[str]:
    """Return the arguments that run exactly these tests.

    One test prints as it goes, so that nothing is lost when it hangs or crashes. Several run one after the other, their
    text kept apart by the harness; each is named before it runs, so that a crash is known to be whose.
    """
    several = ["--test-threads=1"] if len(tests) > 1 else ["--nocapture"]
    return ["--exact", *tests, *several, *IGNORED[ignored]]


@dataclass
class TestRun:
    """What a run of an executable says. `failed`: name -> message. `whole`: the summary is there.

    `running`: the test that had begun and not ended when the text broke off.
    """

    __test__ = False  # for pytest, which takes the name for a test's

    passed: List[str] = field(default_factory=list)
    failed: Dict[str, str] = field(default_factory=dict)
    ignored: List[str] = field(default_factory=list)
    running: Optional[str] = None
    whole: bool = False
    #: The first panic of all, whoever's it is.
    panic: str = ""


def read_run(output: str, tests: Sequence[str] = ()) -> TestRun:
    """Return what `output` says of `tests`, the names that were asked for (none: whatever names it tells)."""
    output = output.replace("\r\n", "\n")
    summary = max(_SUMMARY.finditer(output), key=lambda found: found.start(), default=None)
    body = output[: summary.start()] if summary else output
    marks = _Marks(tests)
    marks.read(body)
    failures = _listed_failures(body) if summary else marks.named("FAILED")
    known = set(tests)
    failures = [name for name in failures if not known or name in known]
    bad = set(failures)
    ignored = [name for name in marks.named("ignored") if name not in bad]
    passed = [name for name in marks.named("ok") if name not in bad]
    if summary and known:
        counts = [int(number) for number in summary.group(2, 3, 4)]
        # The harness has counted: a line that was torn by a test's own text does not cost a test its verdict.
        if sum(counts) == len(known) and counts[1] == len(bad) and counts[2] == len(ignored):
            passed = [name for name in tests if name not in bad and name not in ignored]
    run = TestRun(passed=passed, ignored=ignored, whole=summary is not None, panic=_message(body))
    run.failed = _messages(failures, body, marks)
    if not summary:
        run.running = marks.running or _only(known - bad - set(passed) - set(ignored), len(tests))
    return run


class _Marks:
    """The harness's line per test, `test NAME ... RESULT`, found between all that tests print themselves."""

    def __init__(self, tests: Sequence[str]) -> None:
        names = "|".join(re.escape(name) for name in tests)
        # A name that is known is found behind half a line as well; any other one only at the beginning of a line.
        start = rf"test (?P<name>{names})" if names else rf"^test (?P<name>{_ANY_NAME})"
        self._mark = re.compile(start + r"(?: - [a-z ]+)? \.\.\. ?(?P<rest>.*)$")
        self.results: Dict[str, str] = {}
        #: What was printed around each test's mark.
        self.texts: Dict[str, str] = {}
        self.running: Optional[str] = None
        self._lines: List[str] = []

    def read(self, body: str) -> None:
        """Read all lines."""
        for line in body.split("\n"):
            found = self._mark.search(line)
            if found is None:
                if line == "failures:":
                    self._close()
                self._lines.append(line)
                continue
            name, rest = found.group("name", "rest")
            self._close()
            result = _RESULT.match(rest)
            if result:
                self.results[name] = result.group(1)
                self.texts[name] = "\n".join([*self._lines, line[: found.start()]])
                self._lines = []
            else:
                self.running = name
                self.results.pop(name, None)
                self._lines = [rest]
        self._close(at_end=True)

    def named(self, result: str) -> List[str]:
        """Return the tests that have this result."""
        return [name for name, found in self.results.items() if found == result]

    def _close(self, *, at_end: bool = False) -> None:
        """The test that was running has ended where its text ends with a result."""
        if self.running is None:
            return
        text = "\n".join(self._lines).rstrip("\n")
        self.texts[self.running] = text
        for result in ("ok", "FAILED"):
            if text.endswith(result):
                self.results[self.running] = result
                self.texts[self.running] = text[: -len(result)]
                self.running = None
                break
        if not at_end:
            self.running = None
        self._lines = []


def _listed_failures(body: str) -> List[str]:
    found = _FAILURES.search(body)
    return [line[4:] for line in found.group(1).splitlines()] if found else []


def _messages(failures: Sequence[str], body: str, marks: _Marks) -> Dict[str, str]:
    blocks: Dict[str, str] = {}
    parts = _BLOCK.split(body)[1:]
    for name, text in zip(parts[::2], parts[1::2]):  # noqa: B905 - Python 3.8 has no `strict`; split gives pairs
        blocks[name] = text.partition("\nfailures:\n")[0]
    panics: Dict[str, str] = {}
    for panic in _PANIC.finditer(body):
        panics.setdefault(panic.group("thread"), _panic_text(panic))
    messages: Dict[str, str] = {}
    for name in failures:
        block = blocks.get(name)
        if block is not None:
            messages[name] = _message(block) or block.strip().partition("\n")[0]
        else:  # it was printed as it came: around the line of the test, or anywhere by a thread of its name
            messages[name] = _message(marks.texts.get(name, "")) or panics.get(name, "")
    return messages


def _message(text: str) -> str:
    """Return the first panic of a text, or the first reason of another kind; "" where it has none."""
    panic = _PANIC.search(text)
    if panic:
        return _panic_text(panic)
    reason = _REASON.search(text)
    return reason.group(0).replace("note: ", "", 1) if reason else ""


def _panic_text(panic: "re.Match[str]") -> str:
    text = panic.group("old") if panic.group("old") is not None else panic.group("text")
    return f"{text.strip()} (at {panic.group('old_place') or panic.group('place')})"


def _only(names: Set[str], asked: int) -> Optional[str]:
    """The one test that was asked for: the harness names it only behind its result, so it was running."""
    return next(iter(names)) if asked == 1 and names else None
