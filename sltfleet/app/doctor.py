"""doctor: can every host be reached, built on, written to? One round trip per host; `core.diagnosis` judges."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener
from sltfleet.app.queue import check_queue, exposed_queue
from sltfleet.config.model import HostConfig
from sltfleet.core.controller import diagnose_controller, parse_versions, versions_script
from sltfleet.core.diagnosis import HostDiagnosis, diagnose, diagnose_unreachable, estimate_skew
from sltfleet.core.facts import OLDEST_QUEUE_PYTHON, HostFacts
from sltfleet.core.findings import Finding, Needs, Skew
from sltfleet.core.probe import PROBE_TIMEOUT_S, parse_probe, probe_script
from sltfleet.transport.connect import open_transport

#: A wall clock: seconds since the epoch.
WallClock = Callable[[], float]

_CONTROLLER_TIMEOUT_S = 30.0


def doctor(fleet: Fleet, listener: Listener, *, now: WallClock = time.time) -> HostResults[HostDiagnosis]:
    """Return a diagnosis of every selected host, in their order.

    A host that cannot be asked has its error as a finding, so `errors` of the result is always empty.
    """

    def examine(host: Host) -> tuple[HostDiagnosis, str]:
        diagnosis = examine_host(fleet, host, now)
        return diagnosis, str(diagnosis.level)

    asked = fleet.each_host("examining", examine, listener)
    unreachable = {name: diagnose_unreachable(name, error) for name, error in asked.errors.items()}
    found = {**_with_queue(fleet, asked.values, listener), **unreachable}
    return HostResults({host.name: found[host.name] for host in fleet.hosts})


def _with_queue(fleet: Fleet, diagnoses: dict[str, HostDiagnosis], listener: Listener) -> dict[str, HostDiagnosis]:
    """Return the diagnoses with what the hosts say of the shared queue, where there is one to be used."""
    able = tuple(host for host in fleet.hosts if host.name in diagnoses and _can_ask(diagnoses[host.name]))
    if fleet.loaded.queue is None or not able:
        return diagnoses
    checked = check_queue(fleet, fleet.loaded.queue, able, listener)
    return {
        name: replace(
            found,
            findings=(*found.findings, checked.findings[name]) if name in checked.findings else found.findings,
            queue_round_trip_s=checked.round_trip_s(name),
        )
        for name, found in diagnoses.items()
    }


def _can_ask(diagnosis: HostDiagnosis) -> bool:
    """Whether the host has the python3 that the queue's client needs; that it has none is a finding already."""
    python = diagnosis.facts.python_since(OLDEST_QUEUE_PYTHON) if diagnosis.facts else None
    return python is not None and python.version >= OLDEST_QUEUE_PYTHON


def check_controller(fleet: Fleet) -> tuple[Finding, ...]:
    """Return the findings about this very machine. Raises HostError where it cannot even run a shell."""
    here = open_transport("this machine", HostConfig(transport="local"), None)
    try:
        result = here.run(versions_script(), timeout_s=_CONTROLLER_TIMEOUT_S)
    finally:
        here.close()
    uses_ssh = any(host.config.transport == "ssh" for host in fleet.hosts)
    exposed = exposed_queue(fleet.loaded)
    return diagnose_controller(parse_versions(result.stdout), uses_ssh=uses_ssh) + ((exposed,) if exposed else ())


def examine_host(fleet: Fleet, host: Host, now: WallClock = time.time) -> HostDiagnosis:
    """Probe one host and judge it. Raises HostError."""
    facts, skew = probe_host(host, now)
    return diagnose(host.name, facts, host_needs(fleet, host), skew)


def probe_host(host: Host, now: WallClock = time.time) -> tuple[HostFacts, Skew | None]:
    """Return the host's facts and its clock's difference from this machine's. Raises HostError."""
    received_s: list[float] = []

    def note_first_line(_line: str) -> None:
        # The clock is the first thing the script prints; what comes later takes its time.
        if not received_s:
            received_s.append(now())

    sent_s = now()
    result = host.transport.run(
        probe_script(host.paths, host.config.env), timeout_s=PROBE_TIMEOUT_S, on_line=note_first_line
    )
    facts = parse_probe(result.stdout, result.noise, host.paths.project)
    return facts, estimate_skew(facts.clock_s, sent_s, received_s[0] if received_s else now())


def host_needs(fleet: Fleet, host: Host) -> Needs:
    """Return what fleet.yaml wants of the host, over all suites."""
    suites = [suite for suite in fleet.loaded.config.suites.values() if suite.needs_cargo]
    toolchains = {suite.build.toolchain for suite in suites if suite.build.toolchain}
    return Needs(
        host.config.workers, tuple(sorted(toolchains)), cargo=bool(suites), queue=fleet.loaded.queue is not None
    )
