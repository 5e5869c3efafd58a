"""What rsync prints is read from real output; its command says what the decisions say."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from sltfleet.core.rsync import (
    Progress,
    RsyncReader,
    parse_progress,
    rsync_environment,
    skipped_deletions,
    sync_argv,
)
from sltfleet.core.rsync_failures import sync_failure, too_many_deletions
from tests.support.cases import load_cases


@pytest.mark.parametrize("case", load_cases("rsync/output"))
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_real_output_is_read_in_pieces_of_any_size(case: dict[str, Any], size: int) -> None:
    reader, last = RsyncReader(), None
    for start in range(0, len(case["stdout"]), size):
        last = reader.feed(case["stdout"][start : start + size]) or last
    assert last
    assert asdict(last) == case["progress"]
    assert reader.stats
    assert asdict(reader.stats) == case["stats"]
    for name in ("changed", "changed_files", "changed_names", "links", "deleted_names"):
        assert getattr(reader, name) == case[name], name
    assert skipped_deletions(case["stderr"]) == case["skipped"]


@pytest.mark.parametrize("case", load_cases("rsync/failures"))
def test_an_exit_code_becomes_an_error_with_its_fix(case: dict[str, Any]) -> None:
    error = sync_failure(case["exit_code"], case["stderr"], mount="/home", free_bytes=512 * 1024**2, max_delete=20)
    assert type(error).__name__ == case["error"]
    assert case["what"] in error.what
    assert case["why"] in error.why
    assert case["fix"] in error.fix


def test_the_number_to_raise_the_limit_to_is_a_round_one_that_is_enough() -> None:
    assert "max_delete to 40" in too_many_deletions(31, 20).fix
    assert "max_delete to 2000" in too_many_deletions(1234, 1000).fix


def test_a_file_whose_name_looks_like_progress_is_a_file() -> None:
    reader = RsyncReader()
    assert reader.feed(">f+++++++++:  10  50%    1.00kB/s    0:00:00\n") is None
    assert reader.changed_names == ["  10  50%    1.00kB/s    0:00:00"]
    assert parse_progress("  10  50%    1.00kB/s    0:00:00") == Progress(10, 50, 1024.0)


def test_the_share_of_files_looked_at_is_known_from_the_first_file_on_and_kept_inside_the_next() -> None:
    reader = RsyncReader()
    told = [
        reader.feed("\r  32768   0%    0.00kB/s    0:00:00  "),
        reader.feed("\r 900000   3%  609.72kB/s    0:00:01 (xfr#1, ir-chk=37/61)"),
        reader.feed("\r 950000   3%  609.72kB/s    0:00:01 (xfr#2, to-chk=30/60)"),
        reader.feed("\r 990000   3%  599.49kB/s    0:00:40  \r"),
    ]
    assert [progress.looked_at for progress in told if progress] == [None, None, 0.5]


def test_a_links_name_is_given_back_as_it_is() -> None:
    reader = RsyncReader()
    reader.feed("cL+++++++++:new\\#012line\n")
    assert reader.links == ["new\nline"]


def test_paths_stand_behind_two_dashes_and_nothing_deletes_more_than_allowed() -> None:
    argv = sync_argv("/a repo", "host:/there/-repo", rules_file="/tmp/x y", max_delete=7, rsh=["ssh", "-F", "/c 'x"])
    assert argv[-3:] == ["--", "/a repo/", "host:/there/-repo/"]
    assert "--max-delete=7" in argv
    assert "--filter=merge /tmp/x y" in argv
    assert argv[argv.index("-e") + 1] == "ssh -F '/c ''x'"
    assert not any("--max-delete" in word for word in sync_argv("/a", "/b", rules_file="r", max_delete=None, rsh=None))


def test_variables_that_change_rsync_are_gone() -> None:
    given = {"RSYNC_RSH": "x", "CVSIGNORE": "*", "LC_ALL": "de_DE", "LANGUAGE": "de", "SSH_AUTH_SOCK": "/s"}
    assert rsync_environment(given) == {"SSH_AUTH_SOCK": "/s", "LC_ALL": "C"}
