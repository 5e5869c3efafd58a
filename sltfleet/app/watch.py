"""Watching a run: every host is polled by a thread of its own, so that a slow one delays nobody's numbers."""

from __future__ import annotations

import random
import threading
from types import TracebackType

from sltfleet.app.fleet import Fleet, Host
from sltfleet.app.status import poll_host
from sltfleet.core.backoff import POLL_INTERVAL_S, wait_s
from sltfleet.core.polling import SETTLED, UNREACHABLE, HostStatus


class Watcher:
    """Polls hosts until their run is settled, or until it is closed. `latest()` may be called at any time."""

    def __init__(
        self, fleet: Fleet, run_id: str | None, *, hosts: tuple[Host, ...] | None = None, interval_s: float = POLL_INTERVAL_S
    ) -> None:
        self._run_id = run_id
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._latest: dict[str, HostStatus] = {}
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._hosts = fleet.hosts if hosts is None else hosts
        self._threads = [
            threading.Thread(target=self._poll, args=(host,), name=f"poll {host.name}", daemon=True) for host in self._hosts
        ]

    def __enter__(self) -> Watcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for thread in self._threads:
            # A poll in flight may wait for a dead host: the thread is a daemon and ends with the process.
            thread.join(timeout=1.0)

    def latest(self) -> list[HostStatus]:
        """Return the newest status of every host that has answered, in the order of fleet.yaml."""
        with self._lock:
            return [self._latest[host.name] for host in self._hosts if host.name in self._latest]

    def wait(self, timeout_s: float) -> None:
        """Return when something changed, or after `timeout_s`."""
        if self._changed.wait(timeout_s):
            self._changed.clear()

    def settled(self) -> bool:
        """Whether every host has answered, and no run will change any more."""
        with self._lock:
            return len(self._latest) == len(self._hosts) and all(
                status.condition in SETTLED for status in self._latest.values()
            )

    def _poll(self, host: Host) -> None:
        failures = 0
        while not self._closing.is_set():
            status = poll_host(host, self._run_id)
            failures = failures + 1 if status.condition == UNREACHABLE else 0
            with self._lock:
                before = self._latest.get(host.name)
                if status.condition == UNREACHABLE and before is not None and before.state is not None:
                    # What was last known is still the best that can be shown beside the word `unreachable`.
                    status = HostStatus(
                        host.name, UNREACHABLE, before.run_id, before.state, status.problem, status.error
                    )
                self._latest[host.name] = status
            self._changed.set()
            if status.condition in SETTLED:
                return
            self._closing.wait(wait_s(failures, random.random(), self._interval_s))
