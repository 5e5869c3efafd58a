from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.errors import ConnectError, HostError, HostKeyError, RunError
from sltfleet.core.fetching import FetchLimits, Offer, check_offer, fetch_argv, fetch_failure, offer_script, parse_offer
from sltfleet.core.paths import HostPaths

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "cases" / "fetching" / "offers.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_a_host_answers_is_understood_or_refused(case: dict[str, Any]) -> None:
    if case["value"] == "error":
        with pytest.raises(HostError, match="makes no sense"):
            parse_offer(case["output"])
        return
    offer = parse_offer(case["output"])
    assert (offer and asdict(offer)) == case["value"]


@given(
    st.text()
    | st.lists(st.sampled_from(["run x", "rsync", "files 1 2", "files", "path /x", "path x", "\0"])).map("\n".join)
)
def test_no_answer_raises_anything_but_a_host_error(output: str) -> None:
    with contextlib.suppress(HostError):
        parse_offer(output)


def test_the_question_names_the_project_the_run_and_what_is_fetched() -> None:
    script = offer_script(HostPaths("~/.sltfleet", "my project"), None)
    assert script.args[:2] == ("~/.sltfleet/my project", "")
    assert script.args[2:] == ("spec.json", "journal.jsonl", "state.json", "runner.log", "identity", "artifacts")


def test_the_command_brings_plain_files_only_and_deletes_nothing() -> None:
    argv = fetch_argv("host:/runs/x", "/here/x/", rsh=("ssh", "-F", "a b"), limits=FetchLimits(file_bytes=5))
    assert argv[-3:] == ["--", "host:/runs/x/", "/here/x/"]
    assert {"--no-links", "--no-devices", "--no-specials", "--no-perms", "--max-size=5", "--exclude=*"} <= set(argv)
    assert argv[argv.index("-e") + 1] == "ssh -F 'a b'"
    forbidden = ("--archive", "-a", "--links", "--delete", "--trust-sender", "--old-args", "--inplace", "--copy-links")
    assert not any(word.startswith(forbidden) for word in argv)


def test_between_two_folders_of_one_machine_there_is_no_remote_shell() -> None:
    assert "-e" not in fetch_argv("/a", "/b", rsh=None, limits=FetchLimits())


@pytest.mark.parametrize(
    ("limits", "problem"), [(FetchLimits(files=9), "10 files, more than 9"), (FetchLimits(total_bytes=1024), "2.0 KiB")]
)
def test_a_run_beyond_the_limits_is_refused(limits: FetchLimits, problem: str) -> None:
    with pytest.raises(RunError) as caught:
        check_offer(Offer("x", "/x", 10, 2048, rsync=True), limits)
    assert problem in caught.value.why


@pytest.mark.parametrize(
    ("exit_code", "stderr", "kind", "text"),
    [
        (2, "ERROR: rejecting unrequested file-list name: .bashrc", HostError, "not asked for"),
        (2, 'ERROR: rejecting excluded file-list name: "x"', HostError, "not asked for"),
        (11, 'rsync: write failed on "/x": No space left on device (28)', RunError, "disk here is full"),
        (23, "rsync: open failed: Permission denied (13)", RunError, "not everything was fetched"),
        (-9, "", RunError, "signal 9"),
        (255, "ssh: connect to host x port 22: Connection refused", ConnectError, "no connection"),
        (255, "Host key verification failed.", HostKeyError, "key"),
        (12, "rsync: connection unexpectedly closed", RunError, "the connection broke"),
        (30, "io timeout", RunError, "sltfleet fetch"),
    ],
)
def test_each_way_to_fail_says_what_happened(exit_code: int, stderr: str, kind: type[Exception], text: str) -> None:
    error = fetch_failure(exit_code, stderr)
    assert isinstance(error, kind)
    assert text in f"{error.what} {error.why} {error.fix}"
