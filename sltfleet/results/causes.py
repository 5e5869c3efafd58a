"""The failures of a run by their signature (`core.signature`): the causes behind many failing cases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sltfleet.core.signature import signature
from sltfleet.results.database import from_sql
from sltfleet.results.model import Cause
from sltfleet.results.store import Store


@dataclass(frozen=True)
class Failure:
    """How a case failed on a host with one message: `count` times, first at `first_s` on the run's clock."""

    case: str
    unit: str
    host: str
    message: str
    count: int
    first_s: float


@dataclass
class _Group:
    """The failures of one signature; `first` is the earliest of them."""

    first: Failure
    count: int = 0
    cases: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)

    def add(self, failure: Failure) -> None:
        self.count += failure.count
        self.cases.add(failure.case)
        self.units.add(failure.unit)
        self.hosts.add(failure.host)


def causes(store: Store, run_id: str) -> tuple[Cause, ...]:
    """Return the causes of the failures of a run, those of most cases first."""
    rows = store.connection.execute(
        "SELECT names.name, units.name, host, failures.message, COUNT(*), MIN(COALESCE(end_s, start_s)) "
        "FROM failures JOIN hosts ON hosts.id = failures.host_id "
        "JOIN attempts ON attempts.host_id = failures.host_id AND attempts.attempt = failures.attempt "
        "JOIN names ON names.id = case_id JOIN names AS units ON units.id = unit_id "
        "WHERE run_id = ? GROUP BY hosts.id, case_id, unit_id, failures.message",
        (run_id,),
    ).fetchall()
    return group_failures(
        Failure(from_sql(case), from_sql(unit), host, from_sql(message), count, first_s)
        for case, unit, host, message, count, first_s in rows
    )


def group_failures(failures: Iterable[Failure]) -> tuple[Cause, ...]:
    """Return the causes of `failures`, those of most cases first; the example is the earliest failure of each."""
    groups: dict[str, _Group] = {}
    for failure in sorted(failures, key=lambda failure: (failure.first_s, failure.host, failure.case)):
        groups.setdefault(signature(failure.message), _Group(failure)).add(failure)
    found = [
        Cause(
            signature=text,
            message=group.first.message,
            case=group.first.case,
            failed=group.count,
            units=len(group.units),
            hosts=tuple(sorted(group.hosts)),
            first_seen_s=group.first.first_s,
            cases=tuple(sorted(group.cases)),
        )
        for text, group in groups.items()
    ]
    return tuple(sorted(found, key=lambda cause: (-len(cause.cases), -cause.failed, cause.signature)))
