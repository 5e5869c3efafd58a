"""The project's folder: what a host says of it, and what is refused before a host is asked.

The script runs in test_sync.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from sltfleet.core.errors import HostError, RefusedError
from sltfleet.core.paths import HostPaths
from sltfleet.core.project_dir import check_root, parse_project_dir, prepare_failure
from tests.support.cases import load_cases


@pytest.mark.parametrize("case", load_cases("rsync/project_dir"))
def test_what_the_host_says_is_read_or_refused(case: dict[str, Any]) -> None:
    if case["value"] is None:
        with pytest.raises(HostError):
            parse_project_dir(case["stdout"])
    else:
        assert asdict(parse_project_dir(case["stdout"])) == case["value"]


def test_a_number_with_more_digits_than_anything_has_is_none() -> None:
    assert parse_project_dir(f"free {'9' * 5000} 1\ndir /p").free_bytes is None


@pytest.mark.parametrize("root", ["", "  ", "/", "//", "relative", "~user", "/a/../b", "~/..", "/new\nline", "/nul\0"])
def test_a_root_that_is_no_folder_of_its_own_is_refused(root: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_root(HostPaths(root, "p"))
    assert caught.value.fix


@pytest.mark.parametrize("root", ["~", "~/.sltfleet", "/mnt/big disk/x..y"])
def test_other_roots_are_not(root: str) -> None:
    check_root(HostPaths(root, "p"))


def test_a_refusal_names_the_folder_and_what_to_do() -> None:
    refused = prepare_failure(HostPaths("/a", "p"), 73, "")
    assert isinstance(refused, RefusedError)
    assert "/a/p" in refused.what
    assert refused.fix
    failed = prepare_failure(HostPaths("/a", "p"), 79, "mkdir: cannot create directory '/a': Permission denied\n")
    assert isinstance(failed, HostError)
    assert "Permission denied" in failed.why
