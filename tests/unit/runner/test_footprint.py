"""What the host's memory is measured by."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.runner import footprint
from sltfleet.runner.footprint import Footprint, OomKills, parse_counter, parse_footprint


def test_counters_are_found_by_their_whole_name() -> None:
    text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\noom_kill_more 9\nodd\n"
    assert parse_counter(text, "oom_kill") == 3
    assert parse_counter(text, "oom") is None
    assert parse_counter("oom_kill many\n", "oom_kill") is None


def test_group_and_pages_are_read_behind_a_name_with_parentheses() -> None:
    rest = " ".join(str(number) for number in range(4, 53))
    assert parse_footprint(f"17 (a) b (c)) S {rest}\n") == (5, 24)
    assert parse_footprint("17 (short) S 1 2\n") is None
    assert parse_footprint("") is None


def test_the_memory_of_a_whole_process_group_is_counted_and_no_stranger() -> None:
    code = "import os,sys; b=bytearray(40<<20); os.fork(); sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(2) == b"xx"
            measured = Footprint()
            assert measured.check([os.getpgrp() + 2**22]) is not None
            checked = measured.check([process.pid])
            assert checked is not None
            assert set(checked.used_bytes) == {process.pid}
            assert checked.used_bytes[process.pid] > 45 << 20
            assert checked.available_bytes > 0
        finally:
            process.communicate()


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "memory.events").write_text("low 0\noom_kill 5\n")
    monkeypatch.setattr(footprint, "cgroup_folders", lambda _controller: iter([str(tmp_path)]))
    return tmp_path / "memory.events"


def test_a_kill_is_told_once(count: Path) -> None:
    kills = OomKills()
    assert not kills.take()
    count.write_text("oom_kill 7\n")
    assert [kills.take() for _ in range(3)] == [True, True, False]


def test_a_kill_that_nobody_asked_for_is_forgotten(count: Path) -> None:
    kills = OomKills()
    count.write_text("oom_kill 6\n")
    kills.forget()
    kills.forget()
    assert not kills.take()
    count.write_text("oom_kill 7\n")
    kills.forget()
    assert kills.take()


def test_what_a_container_may_use_counts_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 50000\n")
    monkeypatch.setattr(footprint, "cgroup_folders", lambda _controller: iter([str(tmp_path)]))
    assert Footprint().available_bytes() == 150000


def test_a_host_without_a_free_descriptor_only_hides_what_the_attempts_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Iterator[int]:
        raise OSError(errno.ENFILE, "Too many open files in system")

    monkeypatch.setattr(footprint, "all_pids", full)
    checked = Footprint().check([os.getpgrp()])
    assert checked is not None
    assert checked.used_bytes == {}
