"""status: one round trip to each host, and what it says of the run there."""

from __future__ import annotations

from sltfleet.app.fleet import Fleet, Host
from sltfleet.app.progress import silent
from sltfleet.core.errors import FleetError
from sltfleet.core.polling import UNREACHABLE, HostStatus, parse_poll, poll_script, status_of

#: A poll reads two small files: a host that needs longer is as good as gone for a display.
POLL_TIMEOUT_S = 20.0


def poll_host(host: Host, run_id: str | None = None) -> HostStatus:
    """Ask one host. Never raises a FleetError: a host that cannot be asked is `unreachable`."""
    try:
        result = host.transport.run(poll_script(host.paths, run_id), timeout_s=POLL_TIMEOUT_S)
    except FleetError as error:
        error.host = error.host or host.name
        return HostStatus(host.name, UNREACHABLE, problem=error.summary, error=error)
    return status_of(host.name, parse_poll(result.stdout))


def fleet_status(fleet: Fleet, run_id: str | None = None) -> list[HostStatus]:
    """Ask all selected hosts side by side, and return their statuses in the order of fleet.yaml."""
    results = fleet.each_host("polling", lambda host: (poll_host(host, run_id), ""), silent)
    return [results.values[host.name] for host in fleet.hosts]
