"""Holds what the units of a campaign logged themselves against the journal on the host, and both against `fetch`."""

from __future__ import annotations

from collections import Counter

from sltfleet.wire.outcome import FAIL, PASS
from tests.faults.campaign import Campaign


def expect_the_books_to_agree(fleet: Campaign, host: str) -> None:
    """Fail where an attempt of the newest run on `host` was lost or counted twice. Units pass, fail or are cut."""
    pids = {event.attempt: event.pid for event in fleet.started(host)}
    finished = fleet.finished(host)
    judged = [pids[event.attempt] for event in finished if event.outcome in (PASS, FAIL)]
    ended = {pid for what, pid, _ in fleet.observed() if what == "end"}
    assert len(set(judged)) == len(judged) > 0
    assert len({event.attempt for event in finished}) == len(finished)
    assert set(judged) <= ended, "a verdict for an attempt that never came to its end"
    # An attempt may be cut in the moment between its last line and its exit.
    assert ended <= {pids[event.attempt] for event in finished}, (
        "an attempt came to its end and has none in the journal"
    )
    report = fleet.person.does("fetch", "--host", host, "--format", "json").json()
    outcomes = {outcome: count for outcome, count in report["summary"]["outcomes"].items() if count}
    assert outcomes == Counter(event.outcome for event in finished)
