"""Rust's own harness: its arguments and its lists. What it prints when it runs: the cases in tests/cases/verdicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.runner.libtest import list_arguments, read_list, read_run, run_arguments

TEXTS = st.lists(
    st.sampled_from(
        [
            "test a ... ok\n",
            "test a ... ",
            "FAILED\n",
            "ok\n",
            "\nfailures:\n",
            "    a\n",
            "---- a stdout ----\n",
            "thread 'a' panicked at x:1:1:\nboom\n",
            "test result: ok. 1 passed; 0 failed; 0 ignored;\n",
            "test result: FAILED. 0 passed; 1 failed; 0 ignored;\n",
            "noise",
        ]
    )
).map("".join)


def test_a_list_has_the_tests_and_not_the_benchmarks() -> None:
    assert read_list("a::b: test\nwith: colon: test\nspeed: benchmark\n") == ["a::b", "with: colon"]
    assert read_list("") == []


@pytest.mark.parametrize("output", ["running 3 tests\n", "a: test\nhello\n", "a: tests\n"])
def test_what_another_harness_prints_is_no_list(output: str) -> None:
    with pytest.raises(ValueError, match="no line of libtest's list"):
        read_list(output)


def test_ignored_tests_are_listed_and_run_only_when_asked_for() -> None:
    assert list_arguments("skip") == list_arguments("include") == ["--list", "--format", "terse"]
    assert list_arguments("only") == list_arguments("skip", only_ignored=True) == [*list_arguments("skip"), "--ignored"]
    assert run_arguments(["t"], "skip") == ["--exact", "t", "--nocapture"]
    assert run_arguments(["t"], "include")[-1] == "--include-ignored"
    assert run_arguments(["t"], "only")[-1] == "--ignored"


def test_several_tests_of_one_process_run_one_after_the_other_and_captured() -> None:
    assert run_arguments(["a", "b"], "skip") == ["--exact", "a", "b", "--test-threads=1"]


@given(TEXTS)
def test_no_test_that_was_not_asked_for_gets_a_result_and_none_gets_two(text: str) -> None:
    run = read_run(text, ["a"])
    named = [*run.passed, *run.failed, *run.ignored, *([run.running] if run.running else [])]
    assert named in ([], ["a"])


@given(TEXTS)
def test_without_a_summary_the_run_is_never_whole(text: str) -> None:
    assert read_run(text.replace("test result", "test_result")).whole is False
