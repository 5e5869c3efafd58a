"""The shared queue as the controller sees it: can every host use it, and is it the same one for all of them?

The controller itself never talks to the queue: it may be out of its reach.
"""

from __future__ import annotations

from dataclasses import dataclass

from sltfleet.app.archive import runner_archive
from sltfleet.app.fleet import Fleet, Host
from sltfleet.app.progress import Listener, Warned, silent
from sltfleet.config.load import LoadedConfig
from sltfleet.config.queue_url import QueueUrl
from sltfleet.core.errors import RunError
from sltfleet.core.findings import Finding, Level
from sltfleet.core.queue_check import (
    CHECK,
    QUEUE_CHECK_TIMEOUT_S,
    judge_queue,
    queue_check_script,
    read_queue_check,
    servers_differ,
)
from sltfleet.wire.queue_check import QueueAnswer, QueueReached
from sltfleet.wire.share import QueueAccess


@dataclass(frozen=True)
class CheckedQueue:
    """The hosts' answers, and a finding for each host; a host that could not be asked has a finding only."""

    answers: dict[str, QueueAnswer]
    findings: dict[str, Finding]

    def round_trip_s(self, host: str) -> float | None:
        """How long a round trip from a host takes, None where the queue cannot be used from it."""
        answer = self.answers.get(host)
        return answer.round_trip_s if isinstance(answer, QueueReached) else None


def check_queue(fleet: Fleet, queue: QueueUrl, hosts: tuple[Host, ...], listener: Listener = silent) -> CheckedQueue:
    """Ask the hosts whether they can use the queue."""
    archive = runner_archive(queue=True)
    script = queue_check_script((archive.sha256, archive.data), queue.text)

    def ask(host: Host) -> tuple[QueueAnswer, str]:
        result = host.transport.run(script, timeout_s=QUEUE_CHECK_TIMEOUT_S)
        answer = read_queue_check(result.exit_code, result.stdout, result.stderr)
        return answer, "reached" if isinstance(answer, QueueReached) else "out of reach"

    asked = fleet.each_host("checking the queue", ask, listener, hosts=hosts)
    findings = judge_queue(queue.place, asked.values, loopback=queue.is_loopback)
    for name, error in asked.errors.items():
        findings[name] = Finding(Level.ERROR, CHECK, error.summary, error.fix)
    return CheckedQueue(asked.values, findings)


def queue_for_run(fleet: Fleet, hosts: tuple[Host, ...], listener: Listener) -> QueueAccess | None:
    """Return the queue that these hosts share in a run, None where they share none: one host needs none.

    A host that cannot use the queue now is warned of, and goes on with its shard until it can. Raises RunError where
    hosts reach different servers, each of which would have all units run by its own hosts.
    """
    queue = fleet.loaded.queue
    exposed = exposed_queue(fleet.loaded)
    if exposed is not None:
        listener(Warned("", exposed.text, exposed.fix))
    if queue is None or len(hosts) < 2:
        return None
    checked = check_queue(fleet, queue, hosts, listener)
    bad = {host: finding for host, finding in checked.findings.items() if finding.level is Level.ERROR}
    if servers_differ(checked.answers):
        host, finding = next((host, bad[host]) for host in bad if isinstance(checked.answers.get(host), QueueReached))
        raise RunError("the hosts do not share one queue", f"{host}: {finding.text}", finding.fix)
    for host in checked.answers.keys() & bad.keys():  # a host that gave no answer will not start either, and say why
        listener(Warned(host, f"{bad[host].text}; it begins with its own share of the units", bad[host].fix))
    return QueueAccess(queue.text)


def exposed_queue(loaded: LoadedConfig) -> Finding | None:
    """Return what is to be said of a fleet.yaml with a password that others may read, None where all is well."""
    if not loaded.queue_exposed:
        return None
    return Finding(
        Level.WARNING,
        CHECK,
        f"{loaded.path} has the queue's password in it, and others may read the file",
        "put the address into the variable SLTFLEET_QUEUE, out of the file; or `chmod 600` the file",
    )
