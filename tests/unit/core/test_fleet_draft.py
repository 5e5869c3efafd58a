from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.fleet_draft import Corpus, TestFacts, draft_fleet, find_corpus, safe_name, scalar, takes_files

CORPUS = Corpus(root="corpus", suffix=".test", count=620)
CONTRACT = frozenset({"SQLLOGICTEST_FILES", "SQLLOGICTEST_WORKER_ID", "SQLLOGICTEST_TOTAL_WORKERS"})


def test_the_corpus_is_the_folder_that_has_nearly_all_files() -> None:
    files = [f"third_party/slt/test/{folder}/{n}.test" for folder in "ab" for n in range(50)]
    assert find_corpus([*files, "src/lib.rs", "docs/one.test"]) == Corpus("third_party/slt/test", ".test", 100)


def test_the_more_frequent_suffix_names_the_corpus() -> None:
    assert find_corpus(["tests/x.test", "tests/slt/a.slt", "tests/slt/b.slt"]) == Corpus("tests/slt", ".slt", 2)


def test_files_all_over_the_repo_have_the_repo_as_their_root() -> None:
    assert find_corpus(["a/1.test", "b/2.test"]) == Corpus(".", ".test", 2)


def test_without_files_there_is_no_corpus() -> None:
    assert find_corpus(["src/lib.rs", "test"]) is None


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (TestFacts("suite", "p", words=CONTRACT), True),
        (TestFacts("sqllogictest_suite", "p"), True),
        (TestFacts("slt", "p"), True),
        (TestFacts("run-slt", "p"), True),
        (TestFacts("suite", "p", own_main=True), True),
        (TestFacts("api", "p"), False),
        (TestFacts("result_set", "p"), False),
        (TestFacts("sqllogictest", "p", words=CONTRACT - {"SQLLOGICTEST_FILES"}), False),
    ],
)
def test_only_a_test_that_seems_to_read_files_gets_them(test: TestFacts, expected: bool) -> None:
    assert takes_files(test, CORPUS) is expected
    assert not takes_files(test, None)


def test_a_target_that_reads_the_contract_gets_its_files_and_its_results() -> None:
    words = CONTRACT | {"sqllogictest_results_worker_"}
    suite = yaml.safe_load(draft_fleet("p", ".", [TestFacts("slt", "p", words=words)], CORPUS, workspace=False))[
        "suites"
    ]["slt"]
    assert suite["units"] == {"kind": "files", "root": "corpus", "include": ["**/*.test"]}
    assert suite["env"] == {
        "SQLLOGICTEST_FILES": "{unit}",
        "SQLLOGICTEST_WORKER_ID": "{worker}",
        "SQLLOGICTEST_TOTAL_WORKERS": "{workers}",
    }
    assert suite["verdict"]["path"] == "target/sqllogictest_results_worker_{worker}.json"


def test_a_target_that_can_only_be_told_its_share_gets_many_small_ones() -> None:
    words = frozenset({"SQLLOGICTEST_WORKER_ID", "SQLLOGICTEST_TOTAL_WORKERS", "SQLLOGICTEST_SEED"})
    suite = yaml.safe_load(draft_fleet("p", ".", [TestFacts("slt", "p", words=words)], CORPUS, workspace=False))[
        "suites"
    ]["slt"]
    assert suite["units"] == {"kind": "partitions", "count": 1000}
    assert suite["env"] == {
        "SQLLOGICTEST_WORKER_ID": "{partition}",
        "SQLLOGICTEST_TOTAL_WORKERS": "{partitions}",
        "SQLLOGICTEST_SEED": "{seed}",
    }


def test_what_is_guessed_is_called_a_guess() -> None:
    text = draft_fleet("p", ".", [TestFacts("slt", "p")], CORPUS, workspace=False)
    assert "A guess: put in what the test reads." in text
    assert "SQLLOGICTEST_FILES" in text


@pytest.mark.parametrize("own_main", [False, None])
def test_an_ordinary_target_has_a_unit_per_test(own_main: bool | None) -> None:
    text = draft_fleet("p", ".", [TestFacts("api", "p", own_main=own_main)], None, workspace=False)
    suite = yaml.safe_load(text)["suites"]["api"]
    assert suite["units"] == {"kind": "libtest"}
    assert "verdict" not in suite
    assert ("harness = false" in text) == (own_main is None), "what is not known is said"


def test_a_target_with_a_main_of_its_own_is_one_unit() -> None:
    text = draft_fleet("p", ".", [TestFacts("api", "p", own_main=True)], None, workspace=False)
    assert yaml.safe_load(text)["suites"]["api"]["units"] == {"kind": "partitions", "count": 1}


def test_targets_of_one_name_in_two_packages_are_two_suites() -> None:
    tests = [TestFacts("api", "one"), TestFacts("api", "two", features=("slow", "net")), TestFacts("api", "two")]
    suites = yaml.safe_load(draft_fleet("p", ".", tests, None, workspace=True))["suites"]
    assert list(suites) == ["api", "two-api", "api-2"]
    assert suites["two-api"]["build"] == {"test": "api", "package": "two", "features": ["slow", "net"]}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("vibesql", "vibesql"),
        ("my ws", "my-ws"),
        ("odd näme 'q'", "odd-n-me-q"),
        (".git", "git"),
        ("Ω", "project"),
        ("a" * 99, "a" * 64),
    ],
)
def test_any_folder_gives_a_name_that_a_project_may_have(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_survives_as_a_yaml_scalar(text: str) -> None:
    assert yaml.safe_load(f"key: [{scalar(text)}]") == {"key": [text]}


@pytest.mark.parametrize(
    "word", ["on", "No", "y", "null", "~", "1", "1.5", "", "a: b", "*x", "{x}", "#x", "a #b", "😀", "a\x7fb"]
)
def test_words_that_yaml_would_take_for_something_else_are_quoted(word: str) -> None:
    assert yaml.safe_load(f"key: {scalar(word)}  # comment") == {"key": word}
