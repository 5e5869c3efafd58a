"""The fleet.yaml that `sltfleet init` writes: facts about a project in, text with comments that teach out.

What cannot be known is said to be a guess in a comment. How the facts are found is left to `app.init`.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

#: Extensions of sqllogictest files.
CORPUS_SUFFIXES = (".test", ".slt")

#: What a harness of our contract reads from its environment, and the placeholder for it.
CONTRACT = {
    "SQLLOGICTEST_FILES": "{unit}",
    "SQLLOGICTEST_WORKER_ID": "{worker}",
    "SQLLOGICTEST_TOTAL_WORKERS": "{workers}",
    "SQLLOGICTEST_SEED": "{seed}",
    "SQLLOGICTEST_TIME_BUDGET": "{timeout}",
}
#: In `partitions` the share takes the worker's place.
_SHARE = {"SQLLOGICTEST_WORKER_ID": "{partition}", "SQLLOGICTEST_TOTAL_WORKERS": "{partitions}"}
#: A source that has this word writes its verdicts where the contract says.
RESULTS_WORD = "sqllogictest_results_worker_"
#: The words that are looked for in the sources of a test.
SOURCE_WORDS = (*CONTRACT, RESULTS_WORD)

#: A folder has a corpus's files "for itself" with at least so many of them below it.
_CORPUS_SHARE = 0.9

_NAME_OF_CORPUS_TEST = re.compile(r"sqllogic|(^|[_-])slt([_-]|$)", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*\Z")
#: Plain words that are no text to one YAML reader or another.
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True)
class Corpus:
    """Files that look like sqllogictest's: `root` is relative to the repo, with `/`."""

    root: str
    suffix: str
    count: int


@dataclass(frozen=True)
class TestFacts:
    """A test target. `own_main`: `harness = false` (None: not known); `words`: those of SOURCE_WORDS in its sources."""

    __test__ = False  # for pytest, which takes the name for a test's

    name: str
    package: str
    features: tuple[str, ...] = ()
    own_main: bool | None = None
    words: frozenset[str] = frozenset()


def find_corpus(files: Iterable[str]) -> Corpus | None:
    """Return the corpus among relative paths: the folder that has nearly all files of the most frequent suffix."""
    by_suffix: dict[str, list[PurePosixPath]] = {suffix: [] for suffix in CORPUS_SUFFIXES}
    for path in map(PurePosixPath, files):
        if path.suffix in by_suffix:
            by_suffix[path.suffix].append(path)
    suffix, paths = max(by_suffix.items(), key=lambda item: len(item[1]))
    if not paths:
        return None
    below = Counter(parent for path in paths for parent in path.parents)
    enough = _CORPUS_SHARE * len(paths)
    root = max((folder for folder, count in below.items() if count >= enough), key=lambda folder: len(folder.parts))
    return Corpus(root=str(root), suffix=suffix, count=below[root])


def takes_files(test: TestFacts, corpus: Corpus | None) -> bool:
    """Whether the test can be told which files to run, as far as can be seen."""
    if corpus is None:
        return False
    if test.words & CONTRACT.keys():
        return "SQLLOGICTEST_FILES" in test.words
    return bool(test.own_main or _NAME_OF_CORPUS_TEST.search(test.name))


def safe_name(text: str) -> str:
    """Return `text` as a name that a project or a suite may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:64] or "project"


def draft_fleet(project: str, repo: str, tests: Sequence[TestFacts], corpus: Corpus | None, *, workspace: bool) -> str:
    """Return the text of a fleet.yaml with a suite for each of `tests`, in their order; the first is the default one.

    `repo` is relative to the file; `workspace`: there are several packages, so that each suite has to name its own.
    """
    blocks = [_head(project, repo)]
    names: set[str] = set()
    for test in tests:
        name = _unique(test, names)
        names.add(name)
        blocks.append(_suite(name, test, corpus, workspace=workspace))
    return "\n".join(blocks)


def scalar(text: str) -> str:
    """Return `text` as one YAML scalar: plain where that is read as the same text everywhere, else in quotes."""
    if _PLAIN.match(text) and text.lower() not in _NOT_TEXT:
        return text
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(character: str) -> str:
    """Return a character as it stands in double quotes (YAML 1.2, 5.7)."""
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _unique(test: TestFacts, taken: Container[str]) -> str:
    """Return a suite's name for a target: its own, that with its package's, or that with a number."""
    numbered = (f"{test.name[:50]}-{number}" for number in itertools.count(2))
    candidates = itertools.chain([test.name, f"{test.package}-{test.name}"], numbered)
    return next(name for name in map(safe_name, candidates) if name not in taken)


def _head(project: str, repo: str) -> str:
    return f"""\
# The fleet of {_comment(project)}: which hosts there are, and what they run. Written by `sltfleet init`.
# Every key: docs/fleet-yaml.md in sltfleet's repository, or `sltfleet schema` for your editor.

project: {scalar(project)}  # names the folder on the hosts
repo: {scalar(repo)}  # what is synced, relative to this file

sync:
  # Beside what git ignores, which is left out anyway.
  exclude: [/target/, .git/, node_modules/]

hosts:
  localhost:  # this machine, without ssh
    transport: local
  # my-big-host:  # an alias from ~/.ssh/config, which decides user, port, key and jump host
  #   workers: 64  # default: the cores that the host may use
  #   tags: [big]  # sltfleet run --tag big

suites:"""


def _suite(name: str, test: TestFacts, corpus: Corpus | None, *, workspace: bool) -> str:
    lines = [f"{scalar(name)}:", "  build:", f"    test: {scalar(test.name)}  # as in `cargo test --test …`"]
    if workspace:
        lines.append(f"    package: {scalar(test.package)}")
    if test.features:
        lines.append(f"    features: [{', '.join(map(scalar, test.features))}]  # the target requires them")
    lines.append("    # profile: release  # a slow suite is often worth the longer build")
    if corpus is not None and takes_files(test, corpus):
        lines += _files(test, corpus)
    elif _SHARE.keys() <= test.words:
        lines += _partitions(test)
    elif not test.own_main:
        lines += _single_tests(test)
    else:
        lines += _whole_target()
    lines += _verdict(test, single_tests="    kind: libtest" in lines)
    lines += ["  # How long a run lasts: the units are run pass after pass until it is over.", "  budget: 1h"]
    return "".join(f"  {line}\n" for line in lines)


def _files(test: TestFacts, corpus: Corpus) -> list[str]:
    known = [name for name in CONTRACT if name in test.words]
    told = "The test's sources read these." if known else "A guess: put in what the test reads."
    return [
        f"  # A unit is a file: {corpus.count} of them are there now.",
        "  units:",
        "    kind: files",
        f"    root: {scalar(corpus.root)}",
        f'    include: ["**/*{corpus.suffix}"]',
        f"  # How the test is told its file and the rest. {told}",
        "  env:",
        *(f'    {name}: "{CONTRACT[name]}"' for name in known or CONTRACT),
        "  timeout: 300s  # of one file",
    ]


def _partitions(test: TestFacts) -> list[str]:
    values = {**CONTRACT, **_SHARE}
    return [
        "  # The test can only be told its share: many small shares, so that no worker waits for another.",
        "  units:",
        "    kind: partitions",
        "    count: 1000",
        "  env:",
        *(f'    {name}: "{value}"' for name, value in values.items() if name in test.words),
        "  timeout: 300s  # of one share",
    ]


def _single_tests(test: TestFacts) -> list[str]:
    guess = "  # If it has a `main` of its own (harness = false), say here how it is told what to run."
    return [
        "  # A unit is a single test (a `#[test]` function); those with `#[ignore]` are not run.",
        *([guess] if test.own_main is None else []),
        "  units:",
        "    kind: libtest",
        "  timeout: 300s  # of one test",
    ]


def _whole_target() -> list[str]:
    return [
        "  # Nothing is known of how this test can be told what to run, so a unit is all of it. If it can be told",
        "  # a file or a share, say so in `units` and `env`: the smaller the units, the busier the workers.",
        "  units:",
        "    kind: partitions",
        "    count: 1",
        "  timeout: 1h  # of the whole target",
    ]


def _verdict(test: TestFacts, *, single_tests: bool) -> list[str]:
    if single_tests:
        return []  # what the harness prints tells
    if RESULTS_WORD in test.words:
        return [
            "  # What passed and what failed stands in a file that the test writes, relative to the package's folder.",
            "  verdict:",
            "    kind: json",
            f'    path: "target/{RESULTS_WORD}{{worker}}.json"',
            "    passed: tested_files.passed",
            "    failed: tested_files.failed",
        ]
    return [
        "  # If the test exits with 0 although something failed, its output (`kind: output`) or a file that it writes",
        "  # (`kind: json`) can tell.",
        "  verdict: {kind: exit-code}",
    ]


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
