"""Every kind of mistake in fleet.yaml, one by one: where it is said to be, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from sltfleet.config.load import load_config
from sltfleet.core.errors import ConfigError, ConfigProblem

GOOD = """\
project: vibesql
hosts:
  localhost: {transport: local}
  box:
suites:
  sql:
    build: {test: suite}
    units: {kind: files, root: corpus}
"""


def problems_of(text: str, folder: Path) -> list[ConfigProblem]:
    """Return the problems of a fleet.yaml with this text."""
    (folder / "fleet.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(None, ssh_config=None, environ={}, cwd=folder)
    assert caught.value.path == str(folder / "fleet.yaml")
    return caught.value.problems


def shown(problem: ConfigProblem) -> str:
    """Return a problem as one line."""
    place = f"{problem.line}:{problem.column}: {problem.key}: {problem.message}"
    return f"{place}; {problem.hint}" if problem.hint else place


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        # unknown and missing keys
        ("    units:", "    budgt: 1h\n    units:", "8:5: suites.sql.budgt: unknown key; did you mean 'budget'?"),
        (
            "root: corpus",
            "root: corpus, includ: [a]",
            "8:40: suites.sql.units.includ: unknown key; did you mean 'include'?",
        ),
        (
            "root: corpus",
            "root: c, files: 1",
            "8:35: suites.sql.units.files: unknown key; known keys: exclude, include, kind, root",
        ),
        (
            "box:",
            "box: {zzz: 1}",
            "4:9: hosts.box.zzz: unknown key; known keys: address, env, root, tags, transport, workers",
        ),
        (
            "    units:",
            "    timeout: soon\n    units:",
            "8:14: suites.sql.timeout: "
            "'soon' is no duration: write seconds, or numbers with d, h, m, s, ms, such as 1h30m",
        ),
        (
            "    units:",
            "    timeout: {factr: 5}\n    units:",
            "8:15: suites.sql.timeout.factr: unknown key; did you mean 'factor'?",
        ),
        (
            "    units:",
            "    timeout: {factor: 1}\n    units:",
            "8:23: suites.sql.timeout.factor: must be more than 1.0, found the number 1",
        ),
        (
            "    units:",
            "    timeout: {factor: 5, floor: 10m}\n    units:",
            "8:14: suites.sql.timeout: `floor` is more than `max`; raise `max`, or lower `floor`",
        ),
        ("project: vibesql\n", "", "1:1: project: is missing; Names the folder on the hosts"),
        ("test: suite", "", "7:12: suites.sql.build.test: is missing; The test target (`cargo test --test NAME`)"),
        ("root: corpus", "", "8:5: suites.sql.units.root: is missing; The folder of the files, relative to the repo"),
        ("kind: files, ", "", "8:5: suites.sql.units.kind: is missing; one of files, partitions, libtest, command"),
        # wrong types
        ("vibesql", "[a]", "1:10: project: expected text, found a list"),
        (
            "vibesql",
            "on",
            '1:10: project: expected text, found the boolean on; to YAML on is a boolean: write "on" in quotes',
        ),
        ("vibesql", "1.10", '1:10: project: expected text, found the number 1.10; write "1.10" in quotes'),
        ("vibesql", "", "1:9: project: expected text, found nothing"),
        ("box:", "box: {workers: 1.5}", "4:18: hosts.box.workers: expected a whole number, found the number 1.5"),
        ("box:", "box: {workers: four}", "4:18: hosts.box.workers: expected a whole number, found the text 'four'"),
        (
            "box:",
            "box: {workers: '4'}",
            "4:18: hosts.box.workers: expected a whole number, found the text '4'; "
            "write the number without quotes and without leading zeros",
        ),
        ("box:", "box: {tags: big}", "4:15: hosts.box.tags: expected a list, found the text 'big'; write [\"big\"]"),
        ("box:", "box: {tags: [3]}", '4:16: hosts.box.tags[0]: expected text, found the number 3; write "3" in quotes'),
        ("box:", "box: []", "4:8: hosts.box: expected keys and values, found a list"),
        ("box:", "box: {env: x}", "4:14: hosts.box.env: expected keys and values, found the text 'x'"),
        ("hosts:", "sync: {gitignore: 1}\nhosts:", "2:19: sync.gitignore: expected true or false, found the number 1"),
        (
            "test: suite}",
            "test: suite}\n    env: {F: {unit}}",
            "8:14: suites.sql.env.F: expected text, found keys and values; "
            'to YAML braces are a mapping: write "{unit}" in quotes',
        ),
        # wrong values
        (
            "local}",
            "locl}",
            "3:26: hosts.localhost.transport: expected 'ssh' or 'local', found the text 'locl'; did you mean 'local'?",
        ),
        (
            "files",
            "file",
            "8:19: suites.sql.units.kind: 'file' is none of 'files', 'partitions', 'libtest', 'command'; "
            "did you mean 'files'?",
        ),
        ("box:", "box: {workers: 0}", "4:18: hosts.box.workers: must be at least 1, found the number 0"),
        ("box:", "box: {workers: 5000}", "4:18: hosts.box.workers: must be at most 4096, found the number 5000"),
        (
            "kind: files, root: corpus",
            "kind: partitions, count: 3, first: 2",
            "8:48: suites.sql.units.first: expected 0 or 1, found the number 2",
        ),
        ("box:", "-box:", "4:3: hosts.-box: '-box' begins with a dash: a command would take it as an option"),
        (
            "root: corpus",
            "root: ../x",
            "8:32: suites.sql.units.root: '../x' leaves its folder by '..'; only files inside the repo reach the hosts",
        ),
        ("root: corpus", "root: c, include: [a, '[']", "8:48: suites.sql.units.include[1]: '[': '[' without ']'"),
        (
            "hosts:",
            "sync: {exclude: ['*.o', '!keep.o']}\nhosts:",
            "2:25: sync.exclude[1]: '!keep.o' begins with `!`; "
            "write it in the other one of `include` and `exclude`, without the `!`",
        ),
        (
            "test: suite}",
            "test: suite}\n    verdict: {kind: exit-code, success: []}",
            "8:32: suites.sql.verdict.success: needs at least one entry",
        ),
        # keys that do not fit each other
        (
            "test: suite}",
            "test: suite, features: [a], all_features: true}",
            "7:12: suites.sql.build: `features` does not go with `all_features`; remove one of them",
        ),
        (
            "local}",
            "local, address: x}",
            "3:14: hosts.localhost: a local host has no `address`; remove it, or `transport: local`",
        ),
        (
            "test: suite}",
            "test: suite}\n    verdict: {kind: output}",
            "8:14: suites.sql.verdict: has neither `passed` nor `failed`; give at least one regular expression",
        ),
        (
            "test: suite}",
            "tests: [suite]}",
            "7:20: suites.sql.build.tests: is for libtest units only; name one target with `test`",
        ),
        (
            "test: suite}",
            "test: suite, command: [make]}",
            "7:12: suites.sql.build: `test` is for cargo, and does not go with `command`; remove one of them",
        ),
        (
            "test: suite}",
            "command: [make]}",
            "7:12: suites.sql.build.output: is missing; name the executable that `command` makes",
        ),
        (
            "kind: files, root: corpus}",
            "kind: libtest}\n    verdict: {kind: output, passed: [a]}",
            "9:21: suites.sql.verdict.kind: libtest units do not go with the verdict 'output'; remove `verdict`",
        ),
        (
            "kind: files, root: corpus}",
            "kind: command, program: [a], items: [b], lines_of: [c]}",
            "8:12: suites.sql.units: needs one of `items`, `lines_of` and `files`; say in one way what the units are",
        ),
        (
            "test: suite}\n    units: {kind: files, root: corpus}",
            "command: [make]}\n    units: {kind: command, program: [valgrind, '{binary}'], items: [b]}",
            "8:48: suites.sql.units.program[1]: {binary} stands for nothing: there is neither `build.test` nor "
            "`build.output`",
        ),
        ("hosts:", "default_suite: sq\nhosts:", "2:16: default_suite: there is no suite 'sq'; did you mean 'sql'?"),
        ("hosts:", "default_suite: other\nhosts:", "2:16: default_suite: there is no suite 'other'; known suites: sql"),
        (
            "box:",
            "box: {transport: local}",
            "4:8: hosts.box.root: is the folder of the local host 'localhost' too; "
            "give each local host a `root` of its own",
        ),
        (
            "box:",
            "box: {transport: local, root: ~/x/../.sltfleet/}",
            "4:33: hosts.box.root: '~/x/../.sltfleet/' has a '..' in it; write the folder that is meant",
        ),
        # YAML itself
        (
            "box:",
            "box: !!python/none",
            "4:8: hosts.box: the tag !!python/none does not fit here; write the value without a tag",
        ),
        ("  box:", "  localhost:", "4:3: hosts.localhost: is there twice; the first is in line 3; remove one of them"),
    ],
)
def test_a_mistake_is_named_with_its_place_its_key_and_what_was_meant(
    old: str, new: str, line: str, odd_path: Path
) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    assert line in [shown(problem) for problem in problems_of(text, odd_path)]


def test_one_mistake_is_told_once_and_nothing_else_is_blamed(odd_path: Path) -> None:
    assert len(problems_of(GOOD.replace("corpus", "corpus, includ: []"), odd_path)) == 1
    assert len(problems_of(GOOD.replace("local}", "lokal}"), odd_path)) == 1


def test_all_mistakes_of_a_file_are_told_at_once_in_the_order_of_its_lines(odd_path: Path) -> None:
    text = (
        "project: a/b\nrepo: nowhere\nssh_config: nothing\ndefault_suite: other\nsync: {gitignor: true}\n"
        "hosts:\n  a: {transport: local, env: {X: yes, X: no}}\n  b: {transport: local, workers: 0}\n"
        "suites:\n  sql:\n    build: {}\n    units: {kind: files}\n    timeout: 5x\n    env: {A: '{unti}'}\n"
    )
    keys = [(problem.line, problem.key) for problem in problems_of(text, odd_path)]
    assert keys == [
        (1, "project"),
        (2, "repo"),
        (3, "ssh_config"),
        (4, "default_suite"),
        (5, "sync.gitignor"),
        (7, "hosts.a.env.X"),
        (7, "hosts.a.env.X"),
        (8, "hosts.b.root"),
        (8, "hosts.b.workers"),
        (11, "suites.sql.build.test"),
        (12, "suites.sql.units.root"),
        (13, "suites.sql.timeout"),
        (14, "suites.sql.env.A"),
    ]


def test_a_long_text_is_not_repeated_in_full(odd_path: Path) -> None:
    [problem] = problems_of(GOOD.replace("local}", "x" * 5000 + "}"), odd_path)
    assert len(problem.message) < 200
