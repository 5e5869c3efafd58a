"""Watching a run: every host is polled by a thread of its own, so that a slow one delays nobody's numbers."""

from __future__ import annotations

import random
import threading
import time
from types import TracebackType

from sltfleet.app.fleet import Fleet, Host
from sltfleet.app.status import poll_host
from sltfleet.core.backoff import POLL_INTERVAL_S, wait_s
from sltfleet.core.polling import SETTLED, UNREACHABLE, HostStatus

#: A host that does not answer is asked until so long after its run must have ended.
PATIENCE_S = 120.0

#: Threads that are waiting between two polls end at once; those that wait for a host are not waited for.
CLOSING_S = 1.0


class Watcher:
    """Polls hosts until their run is settled, or until it is closed. `latest()` may be called at any time."""

    def __init__(
        self,
        fleet: Fleet,
        run_id: str | None,
        *,
        hosts: tuple[Host, ...] | None = None,
        interval_s: float = POLL_INTERVAL_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._run_id = run_id
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._latest: dict[str, HostStatus] = {}
        self._over: set[str] = set()
        self._defect: Exception | None = None
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._hosts = fleet.hosts if hosts is None else hosts
        # A poll in flight may wait for a dead host: the threads are daemons and end with the process.
        self._threads = [
            threading.Thread(target=self._guarded, args=(host,), name=f"poll {host.name}", daemon=True)
            for host in self._hosts
        ]

    def __enter__(self) -> Watcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        deadline = time.monotonic() + CLOSING_S
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def latest(self) -> list[HostStatus]:
        """Return the newest status of every host that has answered, in the order of fleet.yaml."""
        with self._lock:
            return [self._latest[host.name] for host in self._hosts if host.name in self._latest]

    def wait(self, timeout_s: float) -> None:
        """Return when something changed, or after `timeout_s`. Raises what a polling thread did not expect."""
        if self._changed.wait(timeout_s):
            self._changed.clear()
        if self._defect is not None:
            raise self._defect

    def settled(self) -> bool:
        """Whether no run will change any more, or be heard of any more."""
        with self._lock:
            return len(self._over) == len(self._hosts)

    def _guarded(self, host: Host) -> None:
        try:
            self._poll(host)
        except Exception as error:  # noqa: BLE001 - raised again by `wait`, in the thread that watches
            self._defect = error
            self._changed.set()

    def _poll(self, host: Host) -> None:
        failures = 0
        give_up_at = time.monotonic() + self._patience_s
        while not self._closing.is_set():
            status = poll_host(host, self._run_id)
            if status.condition == UNREACHABLE:
                failures += 1
                over = time.monotonic() >= give_up_at
            else:
                failures = 0
                over = status.condition in SETTLED
                give_up_at = time.monotonic() + _left_s(status) + self._patience_s
            with self._lock:
                self._latest[host.name] = _with_last_known(status, self._latest.get(host.name))
                if over:
                    self._over.add(host.name)
            self._changed.set()
            if over:
                return
            self._closing.wait(wait_s(failures, random.random(), self._interval_s))


def _left_s(status: HostStatus) -> float:
    """Return how long the run may still last."""
    return 0.0 if status.state is None else max(0.0, status.state.budget_s - status.state.elapsed_s)


def _with_last_known(status: HostStatus, before: HostStatus | None) -> HostStatus:
    """Return the status to show: what was last known is the best that can stand beside the word `unreachable`."""
    if status.condition != UNREACHABLE or before is None or before.state is None:
        return status
    return HostStatus(status.host, UNREACHABLE, before.run_id, before.state, status.problem, status.error)
