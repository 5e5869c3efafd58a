from __future__ import annotations

import pytest

from sltfleet.core.errors import HostError, RunError
from sltfleet.core.findings import Level
from sltfleet.core.queue_check import judge_queue, milliseconds, read_queue_check, servers_differ
from sltfleet.wire.handshake import MARKER
from sltfleet.wire.queue_check import PROBLEMS, QueueAnswer, QueueReached, QueueRefused, queue_answer_to_line

PLACE = "redis://queue:6379/0"
NEAR = QueueReached("abc", "7.0.15", 0.0003)


def test_hosts_that_reach_the_same_server_are_fine() -> None:
    found = judge_queue(PLACE, {"a": NEAR, "b": NEAR}, loopback=False)
    assert [finding.level for finding in found.values()] == [Level.OK] * 2
    assert found["a"].text == f"{PLACE}, version 7.0.15, round trip 0.3 ms"


def test_hosts_that_reach_different_servers_do_not_share_a_queue() -> None:
    answers: dict[str, QueueAnswer] = {
        "a": QueueRefused("timeout", ""),
        "b": NEAR,
        "c": NEAR,
        "d": QueueReached("xyz", "7.0.15", 0.001),
    }
    found = judge_queue(PLACE, answers, loopback=False)
    assert servers_differ(answers)
    assert [found[host].level for host in "bcd"] == [Level.OK, Level.OK, Level.ERROR]
    assert "another server for this host than it is for b" in found["d"].text
    assert "getent" in found["d"].fix
    assert "every host" in judge_queue(PLACE, answers, loopback=True)["d"].fix


def test_a_server_that_does_not_say_which_one_it_is_is_believed() -> None:
    answers = {"a": QueueReached("", "7", 0.001), "b": NEAR}
    assert not servers_differ(answers)
    assert {finding.level for finding in judge_queue(PLACE, answers, loopback=False).values()} == {Level.OK}


def test_a_queue_that_is_far_away_is_noted() -> None:
    (found,) = judge_queue(PLACE, {"a": QueueReached("abc", "7", 0.08)}, loopback=False).values()
    assert (found.level, "80 ms" in found.text) == (Level.NOTE, True)


@pytest.mark.parametrize("problem", [*PROBLEMS, "one of a newer runner"])
def test_each_problem_has_a_text_and_a_fix(problem: str) -> None:
    (found,) = judge_queue(PLACE, {"a": QueueRefused(problem, "so it said")}, loopback=False).values()
    assert found.level is Level.ERROR
    assert PLACE in found.text or "so it said" in found.text
    assert found.fix


def test_tls_at_a_port_without_it_and_the_other_way_round_are_thought_of() -> None:
    silent, noise = QueueRefused("timeout", ""), QueueRefused("not-redis", "Connection closed by server.")
    assert "without TLS" in judge_queue("rediss://q:6379/0", {"a": silent}, loopback=False)["a"].fix
    assert "rediss://" in judge_queue(PLACE, {"a": noise}, loopback=False)["a"].fix


def test_the_answer_is_found_behind_what_a_login_shell_prints() -> None:
    assert read_queue_check(0, f"welcome\n{queue_answer_to_line(NEAR)}", "") == NEAR


def test_without_an_answer_it_is_said_what_went_wrong() -> None:
    with pytest.raises(HostError, match="too old for the queue"):
        read_queue_check(69, "", "python3 3.10 or newer is missing")
    with pytest.raises(RunError, match="damaged"):
        read_queue_check(0, f"{MARKER}{{}}", "")
    with pytest.raises(RunError, match="cannot check the queue"):
        read_queue_check(1, "", "Traceback")


def test_a_round_trip_is_told_in_milliseconds() -> None:
    assert [milliseconds(seconds) for seconds in (0.000054, 0.0123, 1.5)] == ["0.054 ms", "12 ms", "1500 ms"]
