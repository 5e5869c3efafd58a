"""Holds what the units of a campaign logged themselves against the journals on hosts, and both against `fetch`."""

from __future__ import annotations

from collections import Counter

from sltfleet.wire.outcome import FAIL, PASS
from tests.faults.campaign import Campaign


def expect_the_books_to_agree(fleet: Campaign, *hosts: str) -> None:
    """Fail where an attempt of the newest run was lost or counted twice. Units pass, fail or are cut.

    `hosts` are all that had a part in it: the units' log is one for all of them.
    """
    pids = {(host, event.attempt): event.pid for host in hosts for event in fleet.started(host)}
    finished = [(host, event) for host in hosts for event in fleet.finished(host)]
    judged = [pids[host, event.attempt] for host, event in finished if event.outcome in (PASS, FAIL)]
    ended = {pid for what, pid, _ in fleet.observed() if what == "end"}
    assert len({(host, event.attempt) for host, event in finished}) == len(finished)
    assert len(set(judged)) == len(judged) > 0
    assert set(judged) <= ended, "a verdict for an attempt that never came to its end"
    # An attempt may be cut in the moment between its last line and its exit.
    known = {pids[host, event.attempt] for host, event in finished}
    assert ended <= known, "an attempt came to its end and has none in the journal"
    report = fleet.person.does("fetch", "--format", "json").json()
    outcomes = {outcome: count for outcome, count in report["summary"]["outcomes"].items() if count}
    assert outcomes == Counter(event.outcome for _, event in finished)
