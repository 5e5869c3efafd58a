"""The commands `run` and `go-on`: become the project's active runner and run the event loop to its end.

`launch` and `resume` do this in a fork of their own. Everything is imported before the first worker starts: a zipapp is
read lazily, and must not be needed any more when somebody cleans up.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Optional, Sequence, Tuple

from sltfleet.runner import linux, sampler
from sltfleet.runner.batches import Batcher
from sltfleet.runner.dispatch import Dispatcher
from sltfleet.runner.files import write_file
from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.listing import read_listing
from sltfleet.runner.locks import try_lock
from sltfleet.runner.loop import Loop
from sltfleet.runner.memory import Memory, default_reserve_bytes
from sltfleet.runner.passes import Progress
from sltfleet.runner.paths import ProjectPaths, RunPaths
from sltfleet.runner.phases import Config
from sltfleet.runner.prepare import units_digest
from sltfleet.runner.processes import own_identity
from sltfleet.runner.recovery import RecoveryError, recover
from sltfleet.runner.replay import Past, kept_units
from sltfleet.runner.schedule import PassScheduler, Scheduler
from sltfleet.runner.shards import shard_of
from sltfleet.runner.spawn import own_environment
from sltfleet.runner.specfile import SpecError, read_share, read_spec
from sltfleet.runner.stop import end_lost_attempts
from sltfleet.runner.units import Unit, resolve_units
from sltfleet.wire.share import Share
from sltfleet.wire.spec import LibtestUnits, Spec
from sltfleet.wire.state import identity_to_line

if TYPE_CHECKING:
    from sltfleet.runner.shared_queue import SharedQueue

#: So many units are named in a note.
MAX_NAMED = 10

#: What a run leaves in the shared queue expires so long after its budget.
KEEP_S = 86_400.0


def run(run_dir: str, go_on: bool = False) -> int:
    """Run the run whose folder is `run_dir`, and return the exit code: 0, or 3 where it cannot be, with the reason on
    stderr.

    `go_on`: with the rest of its budget, where its runner was lost.
    """
    try:
        return _run(run_dir, go_on)
    except (SpecError, RecoveryError) as error:
        sys.stderr.write(f"sltfleet: {error}\n")
        return 3


def _run(run_dir: str, go_on: bool) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    paths = RunPaths(run_dir)
    spec = read_spec(paths.spec)
    share = read_share(paths.share, spec)
    project = ProjectPaths(spec.project_root)
    lock = try_lock(project.lock)
    if lock is None:
        sys.stderr.write(f"sltfleet: another run is active in {project.root}\n")
        return 3
    resolved = resolve_units(spec.units, spec.select, paths.tree, read_listing(paths))
    units, notes = resolved.units, resolved.notes
    past: Optional[Past] = None
    if go_on:
        past, notes = recover(paths, spec, share)
        spec = dataclasses.replace(spec, workers=past.started.workers)
        kept, gone = kept_units(past, [unit.id for unit in units])
        units, notes = tuple(unit for unit in units if unit.id in kept), notes + gone
    # Only now: until a lost run goes on, it is lost.
    identity = own_identity()
    write_file(paths.identity, identity_to_line(identity).encode("ascii"))
    write_file(project.current, spec.run_id.encode("utf-8") + b"\n")
    if not linux.become_subreaper():
        notes += ("this host has no PR_SET_CHILD_SUBREAPER: daemons that tests leave behind are not found",)
    if past is None:
        notes += _too_long(spec, tuple(unit.id for unit in units))
    notes += end_lost_attempts(paths.root)
    environment = own_environment(os.environ)
    memory_bytes = sampler.memory_bytes()
    dispatcher = make_dispatcher(spec, units, memory_bytes, share, past)
    queue = _queue(spec, share, dispatcher.scheduler)
    loop = Loop(spec, paths, identity, units, dispatcher, environment, past, queue)
    gc.collect()
    gc.freeze()  # what is here now stays: the collector need not look at it again while workers wait
    loop.run(notes, sampler.cores(), memory_bytes, len(share.members) if share else 1)
    os.close(lock)
    return 0


def make_dispatcher(
    spec: Spec,
    resolved: Sequence[Unit],
    memory_bytes: int,
    share: Optional[Share] = None,
    past: Optional[Past] = None,
) -> Dispatcher:
    """Return the dispatcher for a spec and its units, on a host with so much memory (0: unknown).

    `share`: what is known of the run's hosts, None where this one has all units. `past`: what is behind a run that is
    resumed.
    """
    limits = spec.limits
    units = tuple(unit.id for unit in resolved)
    history = {unit: spec.history[unit] for unit in units if unit in spec.history}
    knowledge = past.knowledge if past else Knowledge(history, limits, spec.speed)
    reserve_bytes = limits.memory_reserve_bytes
    if reserve_bytes is None:
        reserve_bytes = default_reserve_bytes(memory_bytes)
    config = Config(
        workers=spec.workers,
        units=len(units),
        budget_s=spec.budget_s,
        kill_after_s=limits.kill_after_s,
        fail_fast=spec.fail_fast,
        exhausted="once" if spec.once else "passes",
    )
    scheduler = make_scheduler(spec, units, knowledge, share, past)
    memory = Memory(knowledge, reserve_bytes, limits.memory_limit_bytes)
    batch_s = spec.units.batch_s if isinstance(spec.units, LibtestUnits) else 0.0
    batcher = Batcher(knowledge, batch_s, {unit.id: unit.binary.id for unit in resolved if unit.binary})
    dispatcher = Dispatcher(config, scheduler, knowledge, memory, batcher)
    if past:
        dispatcher.go_on(past.attempts, past.slots, past.tally)
    return dispatcher


def make_scheduler(
    spec: Spec, units: Sequence[str], knowledge: Knowledge, share: Optional[Share], past: Optional[Past] = None
) -> Scheduler:
    """Return what hands out the units: of several hosts, each begins with its share of them."""
    passes = 1 if spec.once else spec.passes
    progress = past.progress if past else Progress()
    if share is None:
        return PassScheduler(units, spec.seed, knowledge, passes, progress=progress)
    # By what was sent to all hosts, never by what this one has learned: they must come to the same answer.
    dealt = shard_of(past.started.units if past else units, share, spec.history, spec.limits)
    there = frozenset(units)
    shard = [unit for unit in dealt if unit in there]
    if share.queue is not None:
        from sltfleet.runner.queue_schedule import QueueScheduler

        return QueueScheduler(
            units,
            spec.seed,
            knowledge,
            passes,
            workers=spec.workers,
            fleet_workers=sum(member.workers for member in share.members),
            lease_s=share.queue.lease_s,
            shard=shard,
            salt=share.host,
            progress=past.progress if past else None,
        )
    return PassScheduler(units, spec.seed, knowledge, passes, shard=shard, salt=share.host, progress=progress)


def _queue(spec: Spec, share: Optional[Share], scheduler: Scheduler) -> Optional[SharedQueue]:
    """Return the queue that the hosts share, None where there is none.

    Most runs have none, and somebody waits for the launch: what is for a queue is imported only where there is one.
    """
    if share is None or share.queue is None:
        return None
    from sltfleet.runner.queue_link import QueueLink
    from sltfleet.runner.queue_messages import Membership
    from sltfleet.runner.queue_redis import RedisServer
    from sltfleet.runner.queue_schedule import QueueScheduler
    from sltfleet.runner.shared_queue import SharedQueue

    assert isinstance(scheduler, QueueScheduler)
    membership = Membership(
        run_id=spec.run_id,
        host=share.host,
        token=os.urandom(8).hex(),
        units=len(scheduler.units),
        digest=units_digest(scheduler.units),
        lease_s=share.queue.lease_s,
        keep_s=spec.budget_s + KEEP_S,
        limit=(1 if spec.once else spec.passes) or 0,
    )
    server = RedisServer(share.queue.url, membership.key, share.queue.lease_s)
    return SharedQueue(scheduler, QueueLink(membership, server))


def _too_long(spec: Spec, units: Sequence[str]) -> Tuple[str, ...]:
    """Return a note that names the units that come last because they are known to take longer than the budget."""
    knowledge = Knowledge({unit: spec.history[unit] for unit in units if unit in spec.history}, speed=spec.speed)
    names = [unit for unit in units if not knowledge.fits(unit, spec.budget_s)]
    if not names:
        return ()
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return (f"known to take longer than the budget, and so last: {', '.join(names[:MAX_NAMED])}{more}",)
