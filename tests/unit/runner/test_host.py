"""What /proc and cgroups say, and who a process is."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.runner import sampler
from sltfleet.runner.processes import (
    Children,
    Mark,
    ProcessStat,
    belonging,
    is_alive,
    own_identity,
    parse_mark,
    parse_stat,
    read_stat,
)
from sltfleet.runner.sampler import (
    CpuTimes,
    Sampler,
    parse_cgroups,
    parse_cpu_max,
    parse_cpu_times,
    parse_limit_bytes,
    parse_meminfo,
)
from sltfleet.wire.state import Identity

STAT = (
    "22157 (a) b ( c) S 1 22157 22157 0 -1 4194560 1 0 0 0 7 2 0 0 20 0 1 0 199272 22609920 4894 18446744073709551615"
)


def test_cpu_times_count_idle_iowait_and_steal_as_not_busy() -> None:
    assert parse_cpu_times("cpu  100 5 50 800 40 1 4 10 7 7\ncpu0 1 2 3\n") == CpuTimes(busy=160, total=1010)
    assert parse_cpu_times("cpu 1 2 3 4") == CpuTimes(busy=6, total=10)


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    parse_cpu_times(text)
    parse_meminfo(text, "MemAvailable")
    parse_cgroups(text)
    parse_cpu_max(text)
    parse_limit_bytes(text)
    parse_stat(text)
    parse_mark(text.encode("utf-8", "replace"))


def test_meminfo_is_in_bytes() -> None:
    text = "MemTotal:       24683724 kB\nMemAvailable:   24000000 kB\nHugePages_Total:       3\n"
    assert parse_meminfo(text, "MemTotal") == 24683724 * 1024
    assert parse_meminfo(text, "MemAvailable") == 24000000 * 1024
    assert parse_meminfo(text, "HugePages_Total") == 3
    assert parse_meminfo(text, "Available") is None
    assert parse_meminfo("MemTotal: ²²\n", "MemTotal") is None


def test_both_generations_of_cgroups_are_understood() -> None:
    assert parse_cgroups("5:cpu,cpuacct:/a:b\n0::/user.slice\n") == {
        "cpu": "/a:b",
        "cpuacct": "/a:b",
        "": "/user.slice",
    }


@pytest.mark.parametrize(
    ("text", "cores"),
    [("150000 100000\n", 1.5), ("max 100000\n", None), ("-1 100000", None), ("", None), ("5 0", None)],
)
def test_a_cpu_quota_is_a_number_of_cores(text: str, cores: float | None) -> None:
    assert parse_cpu_max(text) == cores


@pytest.mark.parametrize(("text", "limit"), [("1048576\n", 1048576), ("max\n", None), ("9223372036854771712\n", None)])
def test_a_memory_limit_is_a_number_of_bytes(text: str, limit: int | None) -> None:
    assert parse_limit_bytes(text) == limit


def test_this_host_has_cores_memory_and_can_be_sampled() -> None:
    assert 0 < sampler.cores() <= (os.cpu_count() or 1)
    assert sampler.memory_bytes() > 0
    sample = Sampler().take()
    assert sample is not None
    assert 0 <= sample.cpu_percent <= 100
    assert sample.runner_rss_bytes > 0


def test_a_process_name_may_hold_anything() -> None:
    assert parse_stat(STAT) == ProcessStat(22157, "S", 1, 22157, 199272)


def test_a_process_is_who_it_is_only_with_boot_id_and_start_ticks() -> None:
    own = own_identity()
    assert is_alive(own)
    assert not is_alive(Identity(own.boot_id, own.pid, own.start_ticks + 1))
    assert not is_alive(Identity("another boot", own.pid, own.start_ticks))


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    stat = read_stat(child.pid)
    assert stat is not None
    assert not stat.alive
    children = Children()
    assert child.pid in children.pids()
    assert children.count() == len(children.pids())
    child.wait()
    assert child.pid not in children.pids()
    assert read_stat(child.pid) is None


def test_more_children_than_fit_into_a_page_are_all_listed() -> None:
    children = Children()
    before = children.count()
    started = [os.posix_spawn("/bin/sleep", ["sleep", "60"], {}) for _ in range(700)]
    try:
        assert children.count() == before + len(started)
        assert set(started) <= set(children.pids())
    finally:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert children.count() == before


def test_what_wiped_its_mark_is_known_by_the_group_that_an_attempt_leads() -> None:
    def process(pid: int, group: int) -> ProcessStat:
        return ProcessStat(pid, "S", 1, group, 100)

    leader, wiped = process(10, 10), process(11, 10)
    assert belonging([leader, wiped, process(20, 20)], {10}) == [leader, wiped]
    orphan, beside = process(31, 30), process(32, 30)
    assert belonging([orphan, beside], {31}) == [orphan, beside]


def test_a_shell_from_which_a_person_started_something_marked_is_a_stranger() -> None:
    shell, started = ProcessStat(40, "S", 1, 40, 100), ProcessStat(41, "R", 40, 40, 200)
    assert belonging([shell, started], {41}) == [started]


def test_a_mark_names_folder_and_attempt() -> None:
    environ = b"A=1\0SLTFLEET_ATTEMPT=run:1:12\0SLTFLEET_RUN_DIR=/x y\0"
    assert parse_mark(environ) == Mark("/x y", 12)
    assert parse_mark(b"SLTFLEET_ATTEMPT=run:12\0") is None
    assert parse_mark(b"SLTFLEET_ATTEMPT=run:x\0SLTFLEET_RUN_DIR=/x\0") is None
