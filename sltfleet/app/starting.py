"""Starting a run on its hosts: one is launched at once; several are prepared first, and those that are ready share the
units of the first pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeVar

from sltfleet.app.archive import runner_archive
from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener, Warned
from sltfleet.app.stop import STOP_TIMEOUT_S, STUCK_FIX, stop_host
from sltfleet.core.errors import ActiveRunError, RunError
from sltfleet.core.launching import (
    for_queue,
    launch_prepared_script,
    launch_script,
    prepare_script,
    read_launch,
    read_prepare,
)
from sltfleet.core.sharing import share_out
from sltfleet.core.shell import Script
from sltfleet.wire.codec import to_text
from sltfleet.wire.handshake import Launched, Prepared
from sltfleet.wire.share import QueueAccess, Share
from sltfleet.wire.spec import Spec

T = TypeVar("T")

#: Handshake, snapshot of the tree and copy of the executable: minutes only on a very slow disk.
LAUNCH_TIMEOUT_S = 180.0


def start_hosts(
    fleet: Fleet,
    specs: Mapping[str, Spec],
    listener: Listener,
    *,
    replace: bool,
    queue: QueueAccess | None = None,
) -> HostResults[Launched]:
    """Start the run on every host that has a spec; what keeps the others from it is in the errors.

    `replace`: end a run that is active there. `queue`: where the hosts, if there are several, share the units.
    """
    hosts = tuple(host for host in fleet.hosts if host.name in specs)
    if len(hosts) < 2:
        return fleet.each_host(
            "starting", lambda host: launch(host, specs[host.name], replace=replace), listener, hosts=hosts
        )
    prepared = fleet.each_host(
        "preparing",
        lambda host: _prepare(host, specs[host.name], replace=replace, queue=queue is not None),
        listener,
        hosts=hosts,
    )
    sharing = share_out(prepared.values, {name: spec.speed for name, spec in specs.items()})
    if sharing.why:
        listener(
            Warned(
                "",
                f"{sharing.why}; each host runs all of its own",
                "`sltfleet sync`, and look at what differs between the hosts",
            )
        )

    def start(host: Host) -> tuple[Launched, str]:
        share = sharing.shares.get(host.name)
        told = None if share is None else dataclasses.replace(share, queue=queue)
        return _launch_prepared(host, specs[host.name], told, replace=replace, queue=queue is not None)

    ready = tuple(host for host in hosts if host.name in prepared.values)
    launched = fleet.each_host("starting", start, listener, hosts=ready)
    for name in launched.errors:
        if name in sharing.shares and launched.values:
            listener(Warned(name, _about_share_of_lost(specs[name])))
    errors = {**prepared.errors, **launched.errors}
    return HostResults(launched.values, {host.name: errors[host.name] for host in hosts if host.name in errors})


def _about_share_of_lost(spec: Spec) -> str:
    """The others have been told of a host that did not start: what becomes of its share."""
    if spec.once or spec.passes is not None:
        return (
            "its share of the units is not run: the others do theirs, and no more than the passes that were asked for"
        )
    return "the other hosts run its share of the units once they are done with theirs"


def launch(
    host: Host, spec: Spec, *, replace: bool, share: Share | None = None, queue: bool = False
) -> tuple[Launched, str]:
    """Start a run on a host, and return its answer and a summary. Raises HostError, RunError and ActiveRunError.

    `replace`: end a run that is active there. `queue`: the runner is to be able to use one.
    """
    script = launch_script(host.paths, spec.run_id, runner_archive(queue=queue), _spec_text(spec), _share_text(share))

    def attempt() -> Launched:
        return _ask(host, script, read_launch, queue)

    answer = _replacing(host, attempt, attempt) if replace else attempt()
    return answer, _summary(answer)


def _prepare(host: Host, spec: Spec, *, replace: bool, queue: bool) -> tuple[Prepared, str]:
    script = prepare_script(host.paths, spec.run_id, runner_archive(queue=queue), _spec_text(spec))

    def attempt() -> Prepared:
        return _ask(host, script, read_prepare, queue)

    answer = _replacing(host, attempt, attempt) if replace else attempt()
    return answer, f"{answer.units} units"


def _launch_prepared(
    host: Host, spec: Spec, share: Share | None, *, replace: bool, queue: bool
) -> tuple[Launched, str]:
    script = launch_prepared_script(host.paths, spec.run_id, runner_archive(queue=queue), _share_text(share))

    def attempt() -> Launched:
        return _ask(host, script, read_launch, queue)

    def anew() -> Launched:
        """A refusal because of a run that came in between removes what was prepared."""
        return launch(host, spec, replace=False, share=share, queue=queue)[0]

    answer = _replacing(host, attempt, anew) if replace else attempt()
    return answer, _summary(answer)


def _summary(answer: Launched) -> str:
    share = "" if answer.share_units is None else f"{answer.share_units} of "
    return f"{answer.workers} workers on {share}{answer.units} units"


def _replacing(host: Host, attempt: Callable[[], T], again: Callable[[], T]) -> T:
    """Return what `attempt` does; where a run is active, end it and do `again`."""
    try:
        return attempt()
    except ActiveRunError:
        stopped = stop_host(host, None, STOP_TIMEOUT_S)
        if stopped is not None and stopped.survivors:
            raise RunError(
                "the earlier run could not be ended",
                "processes that do not die: " + ", ".join(map(str, stopped.survivors)),
                STUCK_FIX,
            ) from None
    return again()


def _ask(host: Host, script: Script, read: Callable[[int, str, str], T], queue: bool) -> T:
    result = host.transport.run(for_queue(script) if queue else script, timeout_s=LAUNCH_TIMEOUT_S)
    return read(result.exit_code, result.stdout, result.stderr)


def _spec_text(spec: Spec) -> bytes:
    return to_text(spec).encode()


def _share_text(share: Share | None) -> bytes | None:
    return None if share is None else to_text(share).encode()
