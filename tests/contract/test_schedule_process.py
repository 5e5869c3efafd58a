"""Adaptive timeouts, quarantine and memory, with the real runner and real processes."""

from __future__ import annotations

import sys
from pathlib import Path

from sltfleet.runner.processes import read_stat
from sltfleet.wire.events import Note
from sltfleet.wire.quarantine import Quarantine, quarantine_from_text
from sltfleet.wire.spec import Limits, PartitionUnits, UnitHistory
from tests.contract.runner_host import RunnerHost, finished, of
from tests.support.waiting import wait_for

PYTHON = f"exec '{sys.executable}' -S -c"


def test_an_attempt_over_its_memory_limit_is_oom_and_one_that_kills_itself_a_crash(host: RunnerHost) -> None:
    script = f"""case "$1" in
        0/2) {PYTHON} 'b = bytearray(300 << 20); import time; time.sleep(200)' ;;
        *) kill -9 $$ ;;
    esac"""
    limits = Limits(timeout_s=200.0, memory_limit_bytes=100 << 20)
    events = finished(host.run(host.spec(script, units=PartitionUnits(2), passes=1, limits=limits)))
    assert {event.unit: event.outcome for event in events} == {"0/2": "oom", "1/2": "crash"}
    (oom,) = (event for event in events if event.outcome == "oom")
    assert "its limit is 100 MiB" in oom.message
    assert oom.rusage.max_rss_bytes > 100 << 20


def test_the_kernel_is_told_to_take_attempts_before_the_runner(host: RunnerHost) -> None:
    spec = host.spec("sleep 200", units=PartitionUnits(1), workers=1, budget_s=200.0)
    runner = host.launch(spec).identity.pid
    before = Path(f"/proc/{runner}/oom_score_adj").read_text()

    def score_is_raised() -> bool:
        pids = host.attempts_of(spec.run_id)
        mains = [pid for pid in pids if (stat := read_stat(pid)) is not None and stat.group == pid]
        return any(Path(f"/proc/{pid}/oom_score_adj").read_text() == "500\n" for pid in mains)

    wait_for(score_is_raised, "the attempt's score")
    assert Path(f"/proc/{runner}/oom_score_adj").read_text() == before
    host.stop(spec)


def test_a_unit_that_hangs_is_ended_after_a_multiple_of_its_duration_and_then_quarantined(host: RunnerHost) -> None:
    # The floor is what an attempt of the others may take, on however slow a machine.
    limits = Limits(timeout_s=20.0, timeout_factor=2.0, timeout_floor_s=1.5, kill_after_s=0.2, quarantine_after=2)
    script = """case "$1" in 0/4) exec sleep 20 ;; *) sleep 0.05 ;; esac"""
    history = {"0/4": UnitHistory(2, 0.8, 0.8), "1/4": UnitHistory(2, 900.0, 900.0)}
    spec = host.spec(script, units=PartitionUnits(4), workers=1, budget_s=200.0, limits=limits, history=history)
    host.launch(spec)
    wait_for(lambda: host.state(spec).quarantined == ("0/4",), "a unit in quarantine")
    before = len(finished(host.journal(spec)))
    wait_for(lambda: len(finished(host.journal(spec))) > before + 6, "attempts of the others")
    host.stop(spec)
    events = host.journal(spec)
    hung = [event for event in finished(events) if event.outcome == "timeout"]
    assert [event.message for event in hung[:2]] == ["timed out after 1.6 s", "timed out after 3.2 s"]
    assert len(hung) == 2
    assert host.state(spec).quarantined == ("0/4",)
    notes = [note.text for note in of(events, Note)]
    assert "in quarantine after 2 timeouts in a row: 0/4" in notes
    assert "known to take longer than the budget, and so last: 1/4" in notes
    assert {event.outcome for event in finished(events) if event.unit != "0/4"} <= {"pass", "cut"}


def test_a_unit_that_comes_into_a_run_in_quarantine_and_hangs_again_is_told_as_well(host: RunnerHost) -> None:
    limits = Limits(timeout_s=0.3, kill_after_s=0.2, quarantine_after=2)
    script = """case "$1" in 0/4) exec sleep 20 ;; *) sleep 0.05 ;; esac"""
    history = {"0/4": UnitHistory(0, 0.2, timeouts=5)}
    spec = host.spec(script, units=PartitionUnits(4), budget_s=10.0, passes=1, limits=limits, history=history)
    told = [quarantine_from_text(note.text) for note in of(host.run(spec), Note)]
    assert Quarantine("0/4", 6) in told
