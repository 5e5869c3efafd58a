"""The demo corpus: deterministic, complete, as shipped, and written in the format that it claims."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sltfleet.demo
from sltfleet.demo.corpus import DEFAULT_FILES, CorpusFile, generate, main
from sltfleet.demo.script import HASH_THRESHOLD, OracleError, Script, rendered, result_lines

SHIPPED = Path(sltfleet.demo.__file__).parent / "crate" / "corpus"

STATEMENT = re.compile(r"statement (ok|error)")
QUERY = re.compile(r"query ([IRT]+) (nosort|rowsort|valuesort)( [a-z]+-[0-9-]+)?")
CONDITION = re.compile(r"(onlyif|skipif) (sqlite|mysql|mssql|postgresql)( # .+)?")
HASHED = re.compile(r"(\d+) values hashing to [0-9a-f]{32}")


@pytest.fixture(scope="module")
def corpus() -> list[CorpusFile]:
    return generate()


def check_record(block: str) -> str:
    """The kind of one record (the text between two blank lines); raises AssertionError where it is malformed."""
    lines = block.splitlines()
    while lines and (lines[0].startswith("#") or CONDITION.fullmatch(lines[0])):
        lines.pop(0)
    if not lines:
        return "comment"
    head, *body = lines
    if re.fullmatch(r"hash-threshold \d+|halt|sleep \d+s", head):
        assert body == []
        return head.split()[0]
    if STATEMENT.fullmatch(head):
        assert body
        assert "----" not in body
        return head
    match = QUERY.fullmatch(head)
    assert match, f"not a record: {head!r}"
    assert body.count("----") == 1
    results = body[body.index("----") + 1 :]
    hashed = [HASHED.fullmatch(line) for line in results]
    if hashed and hashed[0]:
        assert len(results) == 1
        assert int(hashed[0][1]) > HASH_THRESHOLD
        assert int(hashed[0][1]) % len(match[1]) == 0
        return "hashed query"
    assert len(results) <= HASH_THRESHOLD
    assert len(results) % len(match[1]) == 0
    return "query"


def test_the_same_seed_gives_the_same_bytes(corpus: list[CorpusFile]) -> None:
    assert generate() == corpus


def test_another_seed_gives_other_ordinary_files_and_the_same_special_ones(corpus: list[CorpusFile]) -> None:
    other = {file.name: file.text for file in generate(seed=1)}
    changed = {file.name.split("/")[0] for file in corpus if other[file.name] != file.text}
    assert changed == {"select", "aggregate", "join", "index", "ddl"}


def test_there_are_120_files_under_distinct_sorted_names(corpus: list[CorpusFile]) -> None:
    names = [file.name for file in corpus]
    assert len(names) == DEFAULT_FILES == 120
    assert names == sorted(set(names))
    assert all(re.fullmatch(r"[a-z-]+/[a-z0-9_]+\.test", name) for name in names)


def test_the_shipped_corpus_is_what_the_generator_writes(corpus: list[CorpusFile]) -> None:
    shipped = {path.relative_to(SHIPPED).as_posix(): path.read_bytes() for path in SHIPPED.rglob("*") if path.is_file()}
    assert shipped == {file.name: file.text.encode() for file in corpus}, (
        "run: rm -r sltfleet/demo/crate/corpus && python -m sltfleet.demo.corpus sltfleet/demo/crate/corpus"
    )


def test_the_shipped_corpus_stays_small(corpus: list[CorpusFile]) -> None:
    assert sum(len(file.text) for file in corpus) < 1_500_000


def test_every_file_parses_and_every_kind_of_record_occurs(corpus: list[CorpusFile]) -> None:
    kinds: Counter[str] = Counter()
    for file in corpus:
        assert file.text.endswith("\n")
        assert file.text.isascii()
        kinds.update(check_record(block) for block in re.split(r"\n{2,}", file.text))
    assert set(kinds) == {
        "comment", "hash-threshold", "halt", "sleep", "statement ok", "statement error", "query", "hashed query",
    }  # fmt: skip


def test_conditions_carry_trailing_comments_as_in_the_real_corpora(corpus: list[CorpusFile]) -> None:
    text = "\n".join(file.text for file in corpus)
    assert re.search(r"^onlyif mysql # DIV for integer division", text, re.MULTILINE)
    assert re.search(r"^skipif mysql # not compatible", text, re.MULTILINE)


def test_what_fails_or_flickers_says_so_in_its_name_and_in_its_first_line(corpus: list[CorpusFile]) -> None:
    first_lines = {file.name: file.text.splitlines()[0] for file in corpus}
    honest = sorted(name for name in first_lines if name.startswith("honest-failures/"))
    assert honest == [
        "honest-failures/expected_error_does_not_occur.test",
        "honest-failures/query_on_missing_table.test",
        "honest-failures/wrong_expected_value.test",
    ]
    assert all(first_lines[name].startswith("# Fails on purpose, each time") for name in honest)
    assert first_lines["flaky/flaky_by_design.test"].startswith("# Flaky by design")
    assert not any("on purpose" in line or "Flaky" in line for name, line in first_lines.items()
                   if name not in honest and not name.startswith("flaky/"))  # fmt: skip


def test_three_files_mostly_wait_and_last_three_to_eight_seconds(corpus: list[CorpusFile]) -> None:
    pauses_s = {
        file.name: sum(int(pause) for pause in re.findall(r"^sleep (\d+)s$", file.text, re.MULTILINE))
        for file in corpus
        if "\nsleep " in file.text
    }
    assert len(pauses_s) == 3
    assert all(name.startswith("wait/") for name in pauses_s)
    assert min(pauses_s.values()) == 3
    assert max(pauses_s.values()) == 8


@pytest.mark.parametrize("files", [10, 11, 57, 120, 121])
def test_exactly_as_many_files_as_asked_for_are_made(files: int) -> None:
    assert len(generate(files=files)) == files


def test_fewer_files_than_the_special_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 files, not 9"):
        generate(files=9)


def test_the_command_writes_the_files_and_says_how_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a folder with 'quotes' and ü"
    assert main([str(out), "--seed", "7", "--files", "12"]) == 0
    assert {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.test")} == {
        file.name: file.text.encode() for file in generate(seed=7, files=12)
    }
    assert capsys.readouterr().out.startswith("12 files, ")


def test_the_command_says_what_is_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file"), "--files", "10"]) == 1
    assert "cannot write the corpus" in capsys.readouterr().err


def test_values_are_rendered_by_the_type_letter() -> None:
    assert [rendered(value, letter) for value, letter in ((None, "T"), ("", "T"), (3, "I"), (0.5, "R"))] == [
        "NULL", "(empty)", "3", "0.500",
    ]  # fmt: skip


@pytest.mark.parametrize(("value", "letter"), [(1.5, "I"), (1, "R"), (1, "T"), ("1", "I"), (1, "X")])
def test_a_value_of_another_type_is_refused_instead_of_converted(value: int | float | str, letter: str) -> None:
    with pytest.raises(TypeError):
        rendered(value, letter)


def test_an_oracle_that_disagrees_stops_the_generator() -> None:
    script = Script("about")
    script.statement("CREATE TABLE t1(x INTEGER)")
    with pytest.raises(OracleError, match="the statement failed"):
        script.statement("CREATE TABLE t1(x INTEGER)")
    with pytest.raises(OracleError, match="was to fail and did not"):
        script.failing_statement("INSERT INTO t1 VALUES(1)")
    with pytest.raises(OracleError, match="the query failed"):
        script.query("II", "SELECT x FROM t1")
    script.close()
    with pytest.raises(sqlite3.ProgrammingError):
        script.failing_statement("SELECT 1")


rows_of_integers = st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), max_size=8)


@given(rows=rows_of_integers)
def test_sorted_results_do_not_depend_on_the_order_of_the_rows(rows: list[tuple[int, int]]) -> None:
    for sort in ("rowsort", "valuesort"):
        assert result_lines([*rows], "II", sort) == result_lines([*reversed(rows)], "II", sort)


@given(rows=rows_of_integers)
def test_results_above_the_threshold_and_only_those_are_hashed(rows: list[tuple[int, int]]) -> None:
    lines = result_lines([*rows], "II", "nosort")
    if 2 * len(rows) > HASH_THRESHOLD:
        assert lines[0].startswith(f"{2 * len(rows)} values hashing to ")
    else:
        assert lines == [str(value) for row in rows for value in row]
