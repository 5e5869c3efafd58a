from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.config import names
from sltfleet.config.fields import FieldError

Check = Callable[[str], str]


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (names.check_safe_name, "vibesql-2.0_x"),
        (names.check_host_name, "rwalters-sandbox-1"),
        (names.check_host_name, "jane@10.0.0.7"),
        (names.check_host_name, "büro_2"),
        (names.check_word, "jane@lab-17.example.org"),
        (names.check_env_name, "RUST_BACKTRACE"),
        (names.check_root, "~"),
        (names.check_root, "~/.sltfleet"),
        (names.check_root, "/scratch/my folder"),
        (names.check_inner_path, "."),
        (names.check_inner_path, "third party/sqllogictest/te..st"),
        (names.check_result_path, "target/results_{worker}.json"),
        (names.check_result_path, "../../target/results.json"),
        (names.check_path, "../ops/ssh config"),
        (names.check_dotted_path, "tested_files.passed"),
    ],
)
def test_sensible_names_and_paths_are_taken(check: Check, text: str) -> None:
    assert check(text) == text


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (names.check_safe_name, ""),
        (names.check_safe_name, ".hidden"),
        (names.check_safe_name, "a/b"),
        (names.check_safe_name, "a\n"),
        (names.check_safe_name, "a" * 65),
        (names.check_host_name, ""),
        (names.check_host_name, "-oProxyCommand=x"),
        (names.check_host_name, ".."),
        (names.check_host_name, "a/b"),
        (names.check_host_name, "a\\b"),
        (names.check_host_name, "a b"),
        (names.check_host_name, "a\u00a0b"),
        (names.check_host_name, "a\x1b[31m"),
        (names.check_host_name, "a\u202eb"),
        (names.check_host_name, "host:22"),
        (names.check_host_name, "box-*"),
        (names.check_host_name, "x" * 101),
        (names.check_word, "--config=x"),
        (names.check_word, "a b"),
        (names.check_word, "a\x7f"),
        (names.check_env_name, "1B"),
        (names.check_env_name, "A=B"),
        (names.check_env_name, "A\n"),
        (names.check_root, "relative"),
        (names.check_root, "/"),
        (names.check_root, "/./."),
        (names.check_root, "~jane/x"),
        (names.check_root, "/a/../b"),
        (names.check_root, "/a\nb"),
        (names.check_inner_path, ""),
        (names.check_inner_path, "/etc"),
        (names.check_inner_path, "~/x"),
        (names.check_inner_path, "a/../../b"),
        (names.check_result_path, ".."),
        (names.check_result_path, "./"),
        (names.check_result_path, "target/../../x"),
        (names.check_result_path, "/var/x.json"),
        (names.check_path, ""),
        (names.check_path, "a\tb"),
        (names.check_dotted_path, ""),
        (names.check_dotted_path, "a..b"),
    ],
)
def test_names_and_paths_that_would_be_misunderstood_are_refused(check: Check, text: str) -> None:
    with pytest.raises(FieldError):
        check(text)


@given(st.text())
def test_a_host_name_that_is_taken_is_one_folder_and_one_word(text: str) -> None:
    try:
        names.check_host_name(text)
    except FieldError:
        return
    assert text not in ("", ".", "..")
    assert "/" not in text
    assert not text.startswith("-")
    assert text.split() == [text]
    assert text.isprintable()
