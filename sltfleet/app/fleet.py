"""The fleet as the verbs see it: the configuration, the selected hosts, and a transport to each.

`each_host` is the fan-out of every verb that ends: it gives a value or an error per host, and one host's failure or
slowness never hides or delays another's result.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sltfleet.app.progress import Listener, StepFailed, StepFinished, StepStarted
from sltfleet.config.load import LoadedConfig
from sltfleet.config.model import HostConfig, SuiteConfig
from sltfleet.core.errors import FleetError, UsageError
from sltfleet.core.nearest import did_you_mean
from sltfleet.core.paths import HostPaths, LocalPaths
from sltfleet.transport.base import Transport
from sltfleet.transport.connect import open_transport

T = TypeVar("T")

#: How long what is under way may take to end in good order after Ctrl-C.
ENDING_S = 2.0

#: The main thread waits for others in steps of at most this. The kernel may run Python's signal handler on any thread,
#: and a main thread that waits for a lock without a limit is not woken then: Ctrl-C would do nothing.
HEED_SIGNALS_S = 0.5


@dataclass(frozen=True)
class Host:
    """One selected host."""

    name: str
    config: HostConfig
    paths: HostPaths
    transport: Transport


@dataclass(frozen=True)
class HostResults(Generic[T]):
    """A value or an error for every host, in the order of fleet.yaml."""

    values: dict[str, T] = field(default_factory=dict)
    errors: dict[str, FleetError] = field(default_factory=dict)


@dataclass(frozen=True)
class Fleet:
    """The configuration and the selected hosts."""

    loaded: LoadedConfig
    hosts: tuple[Host, ...]
    paths: LocalPaths
    #: Those of `each_host`: after Ctrl-C some are still at work.
    threads: list[threading.Thread] = field(default_factory=list, repr=False, compare=False)

    @property
    def project(self) -> str:
        """The project's name."""
        return self.loaded.config.project

    def suite(self, name: str | None = None) -> tuple[str, SuiteConfig]:
        """Return the suite `name`, or the default one. Raises UsageError for a name that is not there."""
        suites = self.loaded.config.suites
        chosen = name or self.loaded.config.default_suite or next(iter(suites))
        if chosen not in suites:
            raise UsageError(
                f"there is no suite {chosen!r} in {self.loaded.path}",
                fix=did_you_mean(chosen, suites) or "known suites: " + ", ".join(suites),
            )
        return chosen, suites[chosen]

    def each_host(
        self,
        step: str,
        work: Callable[[Host], tuple[T, str]],
        listener: Listener,
        *,
        hosts: tuple[Host, ...] | None = None,
    ) -> HostResults[T]:
        """Do `work` on every host side by side; it returns the value and a summary in a few words.

        FleetErrors become that host's error (named after the host); anything else is a defect and raised once all are
        done. Each host has a thread of its own, which costs next to nothing while it waits; they are daemons, so that
        Ctrl-C ends the program at once and not when the slowest host has answered.
        """
        chosen = self.hosts if hosts is None else hosts
        futures: dict[str, Future[T]] = {host.name: Future() for host in chosen}

        def guarded(host: Host) -> T:
            listener(StepStarted(host.name, step))
            try:
                value, summary = work(host)
            except FleetError as error:
                error.host = error.host or host.name
                listener(StepFailed(host.name, step, error))
                raise
            listener(StepFinished(host.name, step, summary))
            return value

        def settle(host: Host) -> None:
            try:
                futures[host.name].set_result(guarded(host))
            except BaseException as error:  # noqa: BLE001 - raised again below, by the thread that asked
                futures[host.name].set_exception(error)

        for host in chosen:
            thread = threading.Thread(target=settle, args=(host,), name=f"{step} {host.name}", daemon=True)
            self.threads.append(thread)
            thread.start()
        while wait(futures.values(), timeout=HEED_SIGNALS_S).not_done:
            continue
        results: HostResults[T] = HostResults()
        for name, future in futures.items():
            try:
                results.values[name] = future.result()
            except FleetError as error:
                results.errors[name] = error
        return results


@contextlib.contextmanager
def open_fleet(loaded: LoadedConfig, names: tuple[str, ...]) -> Iterator[Fleet]:
    """Give the fleet of the hosts `names` (already selected); on leaving, what is under way and the connections end.

    Nothing is connected yet: a transport connects when it is first used.
    """
    config = loaded.config
    hosts = tuple(
        Host(
            name=name,
            config=config.hosts[name],
            paths=HostPaths(config.hosts[name].root, config.project),
            transport=open_transport(name, config.hosts[name], loaded.ssh_config),
        )
        for name in names
    )
    fleet = Fleet(loaded=loaded, hosts=hosts, paths=LocalPaths(loaded.fleet_dir))
    try:
        yield fleet
    finally:
        deadline_s = time.monotonic() + ENDING_S
        for thread in fleet.threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        for host in hosts:
            host.transport.close()
