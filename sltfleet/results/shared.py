"""Runs whose hosts shared one queue: which verdicts it counted, exactly one per unit and pass."""

from __future__ import annotations

from collections import Counter

from sltfleet.results.model import SharedHost, SharedRun
from sltfleet.results.store import Store
from sltfleet.wire.outcome import VERDICTS


def shared_run(store: Store, run_id: str, units_total: int) -> SharedRun | None:
    """Return what the queue counted of a run, None where the run had no queue or it never counted anything.

    A queue that was lost and begun anew may have counted a unit twice for one pass: the earlier verdict counts here.
    """
    ask = store.connection.execute
    marks = ", ".join("?" * len(VERDICTS))
    verdicts = dict(
        ask(
            f"SELECT host, SUM(outcome IN ({marks})) FROM hosts LEFT JOIN attempts ON host_id = hosts.id "
            "WHERE run_id = ? GROUP BY host ORDER BY host",
            (*sorted(VERDICTS), run_id),
        ).fetchall()
    )
    rows = ask(
        "SELECT counted.pass_number, unit_id, host FROM counted "
        "JOIN attempts ON attempts.host_id = counted.host_id AND attempts.attempt = counted.attempt "
        f"JOIN hosts ON hosts.id = counted.host_id WHERE run_id = ? AND outcome IN ({marks}) "
        "ORDER BY wall_s + end_s, host",
        (run_id, *sorted(VERDICTS)),
    ).fetchall()
    if not rows:
        return None
    firsts: dict[tuple[int, int], str] = {}
    for pass_number, unit, host in rows:
        firsts.setdefault((pass_number, unit), host)
    per_pass = Counter(pass_number for pass_number, _ in firsts)
    in_first_pass = Counter(host for (pass_number, _), host in firsts.items() if pass_number == 1)
    counted = Counter(firsts.values())
    return SharedRun(
        # Not only the first ones: a queue that was lost and begun anew goes on with a pass that nobody has seen.
        passes=sum(found >= units_total for found in per_pass.values()),
        units_counted=len({unit for _, unit in firsts}),
        counted=len(firsts),
        uncounted=sum(found or 0 for found in verdicts.values()) - len(firsts),
        hosts=tuple(
            SharedHost(host, in_first_pass[host], counted[host], (found or 0) - counted[host])
            for host, found in verdicts.items()
        ),
    )
