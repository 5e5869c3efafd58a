"""doctor's table, findings and JSON: compact where all is well, a fix for the rest, nothing a terminal would obey."""

from __future__ import annotations

import json
from dataclasses import replace

from sltfleet.core.diagnosis import diagnose, diagnose_unreachable
from sltfleet.core.errors import ConnectError
from sltfleet.core.findings import Finding, Level, Needs, Skew
from sltfleet.core.installing import Command
from sltfleet.report.doctor_tables import doctor_json, doctor_lines, doctor_table, setup_json, worst_level
from tests.support.host_facts import recorded_facts

GOOD = diagnose("good", recorded_facts("debian_with_rust"), Needs(workers=2), Skew(0.1, 0.01))
BARE = diagnose("bare", recorded_facts("bare_debian"), Needs(), None)
DOWN = diagnose_unreachable("down", ConnectError("cannot connect", "refused", "start sshd\nthere"))
HOST_KEYS = {"host", "level", "findings", "skew", "queue_round_trip_s", "facts"}
CONTROLLER = (Finding(Level.OK, "rsync", "rsync 3.2.7"),)


def test_each_host_has_one_row_with_its_verdict() -> None:
    rows = doctor_table([GOOD, BARE, DOWN]).splitlines()[2:]
    assert len(rows) == 3
    assert "ready" in rows[0]
    assert "1.95.0" in rows[0]
    assert "4 errors" in rows[1]
    assert "1 error" in rows[2]


def test_with_a_queue_the_table_has_the_time_of_its_round_trip() -> None:
    assert "queue" not in doctor_table([GOOD])
    head, _, near, far, never = doctor_table(
        [replace(GOOD, queue_round_trip_s=0.00031), replace(GOOD, queue_round_trip_s=0.25), DOWN]
    ).splitlines()
    assert head.endswith("queue")
    assert near.endswith("0.31 ms")
    assert far.endswith("250 ms")
    assert never.endswith("-")


def test_what_is_fine_is_not_listed_unless_asked_for() -> None:
    assert doctor_lines(CONTROLLER, [GOOD]) == []
    assert len(doctor_lines(CONTROLLER, [GOOD], verbose=True)) == len(CONTROLLER) + len(GOOD.findings)


def test_each_finding_is_followed_by_its_fix_and_the_worst_comes_first() -> None:
    lines = doctor_lines((), [BARE, DOWN])
    assert [line for line in lines if "cannot connect" in line]
    assert lines[-2:] == ["  fix: start sshd", "       there"]
    levels = [line.split("bare:")[0] for line in lines if "bare:" in line]
    assert [("error" in level) for level in levels] == sorted((("error" in level) for level in levels), reverse=True)


def test_what_a_host_says_cannot_steer_the_terminal() -> None:
    facts = replace(recorded_facts("debian_with_rust"), distribution_name="\x1b[2Jevil", noise="\x1b]0;evil\x07")
    hostile = diagnose("h", facts, Needs(), None)
    text = doctor_table([hostile]) + "\n".join(doctor_lines((), [hostile], verbose=True))
    assert "evil" in text
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text


def test_the_json_is_plain_and_has_the_documented_shape() -> None:
    raw = json.loads(json.dumps(doctor_json(CONTROLLER, [GOOD, DOWN])))
    assert set(raw) == {"controller", "hosts"}
    assert set(raw["controller"][0]) == {"level", "check", "text", "fix"}
    assert [set(host) for host in raw["hosts"]] == [HOST_KEYS] * 2
    assert raw["hosts"][0]["facts"]["memory"]["total_bytes"] > 0
    assert raw["hosts"][1]["facts"] is None


def test_what_setup_did_is_told_with_how_the_host_is_now() -> None:
    command = Command("installing rsync", ("apt-get", "install", "rsync"))
    raw = json.loads(json.dumps(setup_json({"good": ((command,), GOOD), "dry": ((), None)})))
    assert raw[0]["commands"] == [{"title": "installing rsync", "argv": ["apt-get", "install", "rsync"]}]
    assert raw[0]["diagnosis"] == GOOD.to_json() | {"facts": raw[0]["diagnosis"]["facts"]}
    assert raw[1] == {"host": "dry", "commands": [], "diagnosis": None}


def test_the_worst_level_is_of_hosts_and_controller_alike() -> None:
    assert worst_level(CONTROLLER, [GOOD]) is Level.OK
    assert worst_level(CONTROLLER, [GOOD, DOWN]) is Level.ERROR
    assert worst_level((Finding(Level.ERROR, "rsync", ""),), [GOOD]) is Level.ERROR
    assert worst_level((), []) is Level.OK
