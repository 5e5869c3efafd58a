"""How fast the hosts are, one worker for one worker, from units that several of them have run.

The reference is no machine but the middle of those that ran a unit: the geometric mean of their durations (median, each
over the host's attempts in recent runs). A host's speed is the median, over all units that it shares with another, of

    reference duration / the host's own duration

so that of two hosts of which one is always twice as fast the speeds are 1.41 and 0.71. This is the median of ratios
with which sequencing experiments are made comparable (Anders and Huber, Genome Biology 11:R106, 2010): neither a unit
that behaves oddly on one host nor a few long ones move it. It is the speed with as many workers as the host had in
those runs, tests in each other's way included: what it will be again.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, fsum, log
from statistics import median

from sltfleet.results.database import translated
from sltfleet.results.store import Store
from sltfleet.wire.outcome import FAIL, PASS

#: Older runs were on machines that may have changed.
RECENT_RUNS = 5

#: Fewer units in common say more about these units than about the hosts.
FEWEST_UNITS = 5

#: Durations come from the hosts: whatever they say, no share is made absurd by it.
SLOWEST, FASTEST = 1 / 16, 16.0

#: A host, a unit, and how long an attempt took.
Duration = tuple[str, object, float]


def host_speeds(store: Store, project: str, suite: str) -> dict[str, float]:
    """Return the speed of every host that the suite's recent runs compare with another. Raises RunError."""
    with translated(store.path):
        rows = store.connection.execute(
            "SELECT host, unit_id, end_s - start_s FROM attempts JOIN hosts ON hosts.id = host_id "
            "WHERE run_id IN (SELECT run_id FROM runs WHERE project = ?1 AND suite = ?2 ORDER BY run_id DESC LIMIT ?3) "
            "AND outcome IN (?4, ?5) AND end_s > start_s",
            (project, suite, RECENT_RUNS, PASS, FAIL),
        ).fetchall()
    return speeds(rows)


def speeds(durations: Iterable[Duration]) -> dict[str, float]:
    """Return the speed of every host that has enough units in common with others."""
    attempts: dict[object, dict[str, list[float]]] = {}
    for host, unit, seconds in durations:
        attempts.setdefault(unit, {}).setdefault(host, []).append(seconds)
    ratios: dict[str, list[float]] = {}
    for by_host in attempts.values():
        if len(by_host) < 2:
            continue
        logs = {host: log(median(of_host)) for host, of_host in by_host.items()}
        reference = fsum(logs.values()) / len(logs)
        for host, own in logs.items():
            ratios.setdefault(host, []).append(reference - own)
    return {
        host: round(min(FASTEST, max(SLOWEST, exp(median(of_host)))), 4)
        for host, of_host in sorted(ratios.items())
        if len(of_host) >= FEWEST_UNITS
    }
