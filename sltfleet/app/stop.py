"""stop: ends the run on every selected host, its attempts included."""

from __future__ import annotations

from sltfleet.app.archive import runner_archive
from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener
from sltfleet.core.errors import RunError
from sltfleet.core.launching import read_stop, stop_script
from sltfleet.wire.handshake import Stopped

#: How long the runner may take to end its attempts before it is killed itself.
STOP_TIMEOUT_S = 30.0

#: What to do about processes that SIGKILL does not end.
STUCK_FIX = "they are stuck in the kernel (a dead disk or network folder): look at them with `ps -o pid,stat,wchan`"


def stop(fleet: Fleet, run_id: str | None, listener: Listener) -> HostResults[Stopped | None]:
    """Stop the run (None: each host's newest) on all selected hosts; None comes back for a host without a run."""
    return fleet.each_host("stopping", lambda host: _stop(host, run_id), listener)


def stop_host(host: Host, run_id: str | None, timeout_s: float) -> Stopped | None:
    """Stop one host's run and return the runner's answer. Raises HostError and RunError."""
    script = stop_script(host.paths, run_id, runner_archive(), timeout_s)
    result = host.transport.run(script, timeout_s=timeout_s + 30.0)
    return read_stop(result.exit_code, result.stdout, result.stderr)


def _stop(host: Host, run_id: str | None) -> tuple[Stopped | None, str]:
    answer = stop_host(host, run_id, STOP_TIMEOUT_S)
    if answer is None:
        return None, "no run here"
    if answer.survivors:
        raise RunError(
            "processes of the run do not die",
            "pids " + ", ".join(map(str, answer.survivors)),
            STUCK_FIX,
        )
    return answer, f"run {answer.run_id} stopped" if answer.was_running else f"run {answer.run_id} had ended before"
