"""Admission by memory, the limit of an attempt, and what happens when the host runs short."""

from __future__ import annotations

import signal

from sltfleet.runner.dispatch import Dispatcher
from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.memory import RESERVE_MOST_BYTES, Memory, default_reserve_bytes
from sltfleet.runner.messages import Begin, Exited, MemoryChecked, StopRequested, Tick
from sltfleet.runner.phases import Config
from sltfleet.runner.schedule import WAIT_S, PassScheduler
from sltfleet.runner.verdicts import Verdict
from sltfleet.wire import events as wire
from sltfleet.wire.spec import Limits, UnitHistory
from tests.support.world import Behaviour, World, attempts

GIB = 1024**3


def peaks(**of_units: float) -> Knowledge:
    """Knowledge of peaks in GiB; a further unit uses next to nothing."""
    history = {unit: UnitHistory(2, peak_bytes=int(peak * GIB)) for unit, peak in of_units.items()}
    return Knowledge({**history, "tiny": UnitHistory(2, peak_bytes=1)}, Limits(retry_weight=1))


def make(
    knowledge: Knowledge,
    units: dict[str, Behaviour],
    workers: int = 2,
    available: float = 10,
    reserve: float = 1,
    limit: float | None = None,
    passes: int | None = 1,
) -> World:
    memory = Memory(knowledge, int(reserve * GIB), None if limit is None else int(limit * GIB))
    config = Config(workers, len(units), 100.0, 5.0)
    world = World(Dispatcher(config, PassScheduler(list(units), 1, knowledge, passes), knowledge, memory), units)
    check(world, available)
    world.tell(Begin())
    return world


def check(world: World, available: float, used: dict[int, float] | None = None) -> None:
    world.tell(MemoryChecked(int(available * GIB), {pid: int(gib * GIB) for pid, gib in (used or {}).items()}))


def running(world: World) -> list[str]:
    return sorted(attempt.unit for attempt in world.running.values())


def test_what_does_not_fit_beside_what_runs_waits_and_starts_when_there_is_room() -> None:
    units = {"a": Behaviour(10.0), "b": Behaviour(10.0)}
    world = make(peaks(a=6, b=6), units)
    assert len(running(world)) == 1
    assert world.dispatcher.next_deadline() == WAIT_S
    assert world.dispatcher.shortage == "1 workers wait for memory"
    world.run_on()
    assert world.dispatcher.shortage == ""
    spans = sorted((start, end) for _, start, end in world.spans)
    assert spans == [(0.0, 10.0), (10.0, 20.0)]
    assert {event.outcome for event in attempts(world.journal)} == {"pass"}


def test_a_unit_that_fits_is_started_before_one_that_does_not() -> None:
    units = {"a": Behaviour(10.0), "b": Behaviour(10.0), "tiny": Behaviour(1.0)}
    world = make(peaks(a=6, b=6), units)
    assert "tiny" in running(world)


def test_when_nothing_else_runs_even_a_unit_that_never_fits_is_started() -> None:
    world = make(peaks(a=60), {"a": Behaviour(10.0)})
    assert running(world) == ["a"]


def test_units_of_which_nothing_is_known_are_started() -> None:
    world = make(Knowledge(), {"a": Behaviour(), "b": Behaviour()})
    assert running(world) == ["a", "b"]


def test_what_all_units_use_is_shared_and_not_counted_for_every_worker() -> None:
    units = {f"u{number}": Behaviour() for number in range(8)}
    knowledge = Knowledge({unit: UnitHistory(2, peak_bytes=200 * 1024**2) for unit in units}, Limits())
    assert len(running(make(knowledge, units, workers=8, available=1.5, reserve=0.5))) == 8


def test_the_youngest_attempt_makes_room_and_comes_again_without_a_verdict() -> None:
    units = {"a": Behaviour(10.0), "b": Behaviour(10.0)}
    world = make(Knowledge(), units, workers=2)
    world.now = 1.0
    check(world, 0.5)
    check(world, 0.4)  # one is on its way out: what that frees is to be seen first
    assert len(world.ends) == 3
    world.now = 1.1
    while world.ends[0][0] <= world.now:
        world.end(*_pop(world))
    (cut,) = attempts(world.journal)
    assert (cut.outcome, cut.signal, cut.failed) == ("cut", signal.SIGKILL, ())
    assert "queued again" in cut.message
    assert len(running(world)) == 1  # the reserve is not enough: there is no relief yet
    world.now = 2.0
    check(world, 1.5)
    assert len(running(world)) == 1
    world.now = 3.0
    check(world, 5.0)
    assert running(world) == ["a", "b"]
    world.run_on()
    assert sorted(event.unit for event in attempts(world.journal) if event.outcome == "pass") == ["a", "b"]
    assert world.dispatcher.passes_finished == 1


def test_the_only_attempt_is_never_stopped_for_want_of_memory() -> None:
    world = make(Knowledge(), {"a": Behaviour(10.0)}, workers=1)
    check(world, 0.1)
    world.run_on()
    assert [event.outcome for event in attempts(world.journal)] == ["pass"]


def test_an_attempt_that_uses_more_than_its_limit_is_killed_at_once_and_called_oom() -> None:
    world = make(Knowledge(), {"a": Behaviour(50.0)}, workers=1, limit=2)
    (pid,) = world.running
    check(world, 5, {pid: 1.9})
    assert len(world.ends) == 1
    check(world, 5, {pid: 3})
    world.run_on()
    (event,) = attempts(world.journal)
    assert (event.outcome, event.signal) == ("oom", signal.SIGKILL)
    assert event.failed == (wire.FailedCase("a", "used 3072 MiB of memory, its limit is 2048 MiB"),)


def test_a_kill_by_the_kernel_is_oom_and_any_other_one_a_crash() -> None:
    for oom_killed, outcome in ((True, "oom"), (False, "crash")):
        world = make(Knowledge(), {"a": Behaviour(50.0)}, workers=1)
        (attempt,) = world.running.values()
        world.tell(Exited(attempt, None, signal.SIGKILL, Verdict("fail"), oom_killed=oom_killed))
        (event,) = attempts(world.journal)
        assert event.outcome == outcome
        assert event.failed


def test_a_kill_of_our_own_is_never_the_kernels() -> None:
    world = make(Knowledge(), {"a": Behaviour(1e10, ignores_sigterm=True)}, workers=1)
    (attempt,) = world.running.values()
    world.tell(StopRequested())
    world.now = 2.0
    world.tell(Tick())
    world.tell(Exited(attempt, None, signal.SIGKILL, Verdict("fail"), oom_killed=True))
    assert [event.outcome for event in attempts(world.journal)] == ["cut"]


def test_workers_that_wait_for_memory_leave_when_the_run_is_stopped() -> None:
    world = make(peaks(a=6, b=6), {"a": Behaviour(10.0), "b": Behaviour(10.0)})
    world.tell(StopRequested())
    world.run_on()
    assert world.finish == "stopped"


def test_the_default_reserve_is_a_small_part_of_the_memory() -> None:
    assert default_reserve_bytes(0) == 0
    assert default_reserve_bytes(2 * GIB) == int(0.05 * 2 * GIB)
    assert default_reserve_bytes(256 * GIB) == RESERVE_MOST_BYTES


def _pop(world: World) -> tuple[float, int, int]:
    world.ends.sort()
    return world.ends.pop(0)
