"""resume: has the hosts whose runner is gone go on with the rest of a run's budget."""

from __future__ import annotations

from dataclasses import dataclass

from sltfleet.app.archive import runner_archive
from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener
from sltfleet.app.status import fleet_status
from sltfleet.core.duration import format_duration
from sltfleet.core.errors import RunError
from sltfleet.core.launching import for_queue
from sltfleet.core.resuming import NothingToResume, read_resume, resume_script
from sltfleet.wire.handshake import Launched

#: A new runner reads the journal of the one before, which may have a million lines.
RESUME_TIMEOUT_S = 240.0

HostResume = Launched | NothingToResume


@dataclass(frozen=True)
class ResumedRun:
    """What became of each host's part of a run."""

    run_id: str
    hosts: HostResults[HostResume]

    @property
    def going_on(self) -> tuple[str, ...]:
        """The hosts on which the run is under way now: resumed, or never interrupted."""
        return tuple(
            host for host, part in self.hosts.values.items() if not isinstance(part, NothingToResume) or part.running
        )


def resume(fleet: Fleet, run_id: str | None, listener: Listener) -> ResumedRun:
    """Resume a run (None: the newest of the selected hosts) wherever its runner was lost or was stopped.

    Its hosts use the queue that they shared when it began; without the client, which they are sent only where a queue
    is configured, they go on with their shards.

    Raises RunError where no host has anything to go on with.
    """
    run_id = run_id or _newest(fleet)
    queue = fleet.loaded.queue is not None
    archive = runner_archive(queue=queue)

    def work(host: Host) -> tuple[HostResume, str]:
        script = resume_script(host.paths, run_id, archive)
        result = host.transport.run(for_queue(script) if queue else script, timeout_s=RESUME_TIMEOUT_S)
        answer = read_resume(run_id, result.exit_code, result.stdout, result.stderr)
        return answer, _summary(answer)

    resumed = ResumedRun(run_id, fleet.each_host("resuming", work, listener))
    parts = resumed.hosts.values
    if not resumed.hosts.errors and all(isinstance(part, NothingToResume) for part in parts.values()):
        why = "; ".join(f"{host}: {part.why}" for host, part in parts.items() if isinstance(part, NothingToResume))
        raise RunError(
            f"there is nothing to resume of run {run_id}",
            why,
            "`sltfleet status --watch` shows it" if resumed.going_on else "`sltfleet run` starts a new one",
        )
    return resumed


def _newest(fleet: Fleet) -> str:
    """Return the newest run of the selected hosts. Raises RunError where there is none, or a host's own error."""
    statuses = fleet_status(fleet)
    found = max((status.run_id for status in statuses if status.run_id), default=None)
    if found is not None:
        return found
    for status in statuses:
        if status.error is not None:
            raise status.error
    raise RunError("no host has a run", fix="start one with `sltfleet run`")


def _summary(answer: HostResume) -> str:
    if isinstance(answer, NothingToResume):
        return f"not resumed: {answer.why}"
    return f"goes on after {format_duration(answer.elapsed_s)}"
