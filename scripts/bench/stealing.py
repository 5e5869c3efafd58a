"""`stealing`: one pass over 4 hosts of unequal speed, with a shared queue on Redis and with static shards.

The hosts are four runners on this machine. A unit is a `sleep` whose duration is divided by the speed of its host, so
that hosts differ as much as they are told to, on however busy a machine. Durations are known, as they are after any
earlier run; how fast a host is may be unknown. The lower bound is that of uniform machines: the longest unit on the
fastest host, or all work over all capacity, each host's from its own first start on. Makespans are from the first start
to the last end, by the journals.

Then the queue's own cost: one claim and one settled verdict per round trip by the runner's script, and the same by
Redis Streams (XREADGROUP and XACK), which would leave leases and counting to the hosts; and a real run of units that
do nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis

from bench.figures import Figure, Goal, Measured, Result, alternate
from bench.hosts import BenchHost, Finished, Work
from bench.redis_server import redis_server
from sltfleet.runner.queue_messages import Exchange, Membership, NewPass, Place, answer_from_text, request_text
from sltfleet.runner.queue_redis import RedisServer
from sltfleet.wire.events import AttemptFinished, AttemptStarted, Counted, RunStarted, Sample
from sltfleet.wire.share import Member, QueueAccess, Share
from sltfleet.wire.spec import CommandUnits, UnitHistory

SEED = 1
WORKERS = 4
SPEEDS = {"alpha": 2.0, "beta": 1.0, "gamma": 1.0, "delta": 0.5}
BUDGET_S = 300.0

#: Claims and verdicts of the script alone and of Streams alone.
EXCHANGES = 2000
#: Units that do nothing, on two hosts.
IDLE_UNITS, IDLE_HOSTS = 4000, 2

REDIS = "sltfleet, one queue on Redis, speeds not known"
REDIS_SPEED = "one queue on Redis, speeds known"
SHARDS_SPEED = "static shards, durations and speeds known"
SHARDS = "static shards, durations known, speeds not"
NAIVE = "static shards, every 4th unit"

LUA, STREAMS = "sltfleet's script", "Streams, XREADGROUP + XACK"
WITHOUT = "static shards, no queue"

#: A unit's name ends in its milliseconds; the shell divides them by the speed, in hundredths.
UNIT = """\
#!/bin/sh
ms=$(( ${1##*-} * 100 / SPEED ))
fraction=$(( 1000 + ms % 1000 ))
exec sleep "$(( ms / 1000 )).${fraction#1}"
"""


def durations_s() -> dict[str, float]:
    """Return 400 units: log-normal (median 0.45 s), at most 2.5 s, and one each of 4, 3 and 2.5 s."""
    chance = random.Random(SEED)
    values = [min(2.5, chance.lognormvariate(-0.8, 0.6)) for _ in range(397)] + [4.0, 3.0, 2.5]
    chance.shuffle(values)
    milliseconds = [max(30, round(1000 * value)) for value in values]
    return {f"unit-{number:03}-{value}": value / 1000 for number, value in enumerate(milliseconds)}


def fleet_bound_s(values: Sequence[float], hosts: Sequence[tuple[float, float]], workers: int) -> float:
    """Return the time below which no schedule can be, on hosts of (speed, when it is ready): all capacity in use from
    the first moment on, and the longest unit where it would be over first.
    """
    longest_s = min(ready_s + max(values) / speed for speed, ready_s in hosts)
    # The hosts that are ready by the time at which all is done are the first few of those sorted by it.
    together = []
    for count in range(1, len(hosts) + 1):
        first = sorted(hosts, key=lambda host: host[1])[:count]
        capacity = workers * sum(speed for speed, _ in first)
        missed = workers * sum(speed * ready_s for speed, ready_s in first)
        together.append((sum(values) + missed) / capacity)
    return max(longest_s, min(together))


@dataclass(frozen=True)
class Way:
    """How the hosts divide the units: what they know of each other, and whether there is a queue."""

    speeds: Mapping[str, float]
    queue: str | None = None
    naive: bool = False


def measure(folder: Path, repetitions: int) -> Result:
    """Measure it."""
    durations = durations_s()
    bound_s = fleet_bound_s(list(durations.values()), [(speed, 0.0) for speed in SPEEDS.values()], WORKERS)
    fleet = BenchFleet(folder / "fleet", list(SPEEDS))
    unknown = dict.fromkeys(SPEEDS, 1.0)
    with redis_server() as url:
        ways = {
            REDIS: Way(unknown, url),
            REDIS_SPEED: Way(SPEEDS, url),
            SHARDS_SPEED: Way(SPEEDS),
            SHARDS: Way(unknown),
            NAIVE: Way(unknown, naive=True),
        }
        series = alternate(
            {name: lambda way=way: fleet.pass_over(durations, way) for name, way in ways.items()},  # type: ignore[misc] # mypy does not see the default
            repetitions,
        )
        costs = alternate({LUA: lambda: lua_cost(url), STREAMS: lambda: streams_cost(url)}, repetitions)
        idle = alternate({REDIS: lambda: fleet.do_nothing(url), WITHOUT: lambda: fleet.do_nothing(None)}, repetitions)
    peers = {name: series[name]["x"] for name in ways if name != REDIS}
    return Result(
        [
            Figure("first start to last end / lower bound", "x", series[REDIS]["x"], peers, [Goal(1.05)]),
            Figure("claim and settle one unit, loopback", "ms", costs[LUA]["ms"], {STREAMS: costs[STREAMS]["ms"]}),
            Figure("runner's CPU per unit", "ms", idle[REDIS]["cpu_ms"], {WITHOUT: idle[WITHOUT]["cpu_ms"]}),
            Figure("units that do nothing, per unit", "ms", idle[REDIS]["ms"], {WITHOUT: idle[WITHOUT]["ms"]}),
        ],
        [
            f"{len(durations)} units, {sum(durations.values()):.1f} s in all on a host of speed 1, the longest "
            f"{max(durations.values()):g} s; {len(SPEEDS)} hosts of {WORKERS} workers and speeds "
            f"{', '.join(f'{speed:g}' for speed in SPEEDS.values())}: the lower bound is {bound_s:.2f} s",
            "the longest first, as far as whoever hands them out knows: an order that does not know the hosts' speeds "
            "may give the longest unit to the slowest host",
            f"the last two: {IDLE_UNITS} units of /bin/true on {IDLE_HOSTS} hosts of {WORKERS} workers; the CPU is "
            "that of all runners and has the client's import in it, once per host",
        ],
    )


class BenchFleet:
    """Several runners on this machine, each with a folder of its own."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.hosts = {name: BenchHost(folder / name, name, queue=True) for name in names}
        for host in self.hosts.values():
            (host.repo / "unit.sh").write_text(UNIT)

    def pass_over(self, durations: Mapping[str, float], way: Way) -> Measured:
        """Run one pass and return its makespan by the bound, for hosts that are ready when they were."""
        history = {unit: UnitHistory(rank=2, expected_s=seconds) for unit, seconds in durations.items()}
        units = sorted(durations)
        works = {}
        for place, (name, speed) in enumerate(SPEEDS.items()):
            mine = tuple(units[place :: len(SPEEDS)]) if way.naive else tuple(units)
            works[name] = Work(
                None,
                (),
                CommandUnits(("sh", "unit.sh", "{unit}"), mine),
                WORKERS,
                BUDGET_S,
                {"SPEED": str(round(100 * speed))},
                passes=1,
                history=history,
                speed=way.speeds[name],
                share=None if way.naive else _share(name, way.speeds, way.queue),
            )
        ended = self._run(works)
        once_each(ended, units, queue=way.queue is not None)
        ready = first_starts_s(ended)
        bound_s = fleet_bound_s(list(durations.values()), [(SPEEDS[name], ready[name]) for name in SPEEDS], WORKERS)
        return {"x": makespan_s(ended) / bound_s, "ready": max(ready.values())}

    def do_nothing(self, queue: str | None) -> Measured:
        """Run units that do nothing on some of the hosts; return milliseconds per unit, elapsed and of CPU."""
        units = tuple(f"{number}" for number in range(IDLE_UNITS))
        speeds = dict.fromkeys(list(SPEEDS)[:IDLE_HOSTS], 1.0)
        work = Work(None, (), CommandUnits(("/bin/true", "{unit}"), units), WORKERS, BUDGET_S, {}, passes=1)
        ended = self._run({name: replace(work, share=_share(name, speeds, queue)) for name in speeds})
        once_each(ended, units, queue=queue is not None)
        cpu_s = sum(
            max(event.runner_cpu_s for event in run.events if isinstance(event, Sample)) for run in ended.values()
        )
        return {"ms": 1000 * makespan_s(ended) / IDLE_UNITS, "cpu_ms": 1000 * cpu_s / IDLE_UNITS}

    def _run(self, works: Mapping[str, Work]) -> dict[str, Finished]:
        """Prepare all, then start all, as `sltfleet run` does."""
        with ThreadPoolExecutor(len(works)) as pool:
            ready = {name: pool.submit(self.hosts[name].prepare, work, SEED) for name, work in works.items()}
            folders = {name: folder.result() for name, folder in ready.items()}
            runs = {name: pool.submit(self.hosts[name].launch, folder, BUDGET_S) for name, folder in folders.items()}
            return {name: run.result() for name, run in runs.items()}


def _share(host: str, speeds: Mapping[str, float], queue: str | None) -> Share:
    members = tuple(Member(name, WORKERS, speed) for name, speed in speeds.items())
    return Share(host, members, QueueAccess(queue) if queue else None)


def first_starts_s(runs: Mapping[str, Finished]) -> dict[str, float]:
    """Return when each host started its first unit, after the first one on any host."""
    found = {
        name: next(event.wall_s for event in run.events if isinstance(event, RunStarted))
        + next(event.t for event in run.events if isinstance(event, AttemptStarted))
        for name, run in runs.items()
    }
    return {name: start_s - min(found.values()) for name, start_s in found.items()}


def makespan_s(runs: Mapping[str, Finished]) -> float:
    """Return the seconds from the first start to the last end on any host; their clock is one and the same."""
    starts: list[float] = []
    ends: list[float] = []
    for run in runs.values():
        began = next(event.wall_s for event in run.events if isinstance(event, RunStarted))
        starts += [began + event.t for event in run.events if isinstance(event, AttemptStarted)]
        ends += [began + event.t for event in run.events if isinstance(event, AttemptFinished)]
    return max(ends) - min(starts)


def once_each(runs: Mapping[str, Finished], units: Sequence[str], *, queue: bool) -> None:
    """End the benchmark unless every unit passed exactly once; with a queue, was counted exactly once."""
    found: list[str] = []
    for run in runs.values():
        counted = {attempt for event in run.events if isinstance(event, Counted) for attempt in event.attempts}
        found += [
            event.unit
            for event in run.events
            if isinstance(event, AttemptFinished)
            and event.outcome == "pass"
            and (not queue or event.attempt in counted)
        ]
    if sorted(found) != sorted(units):
        raise SystemExit(f"{len(found)} verdicts count, of {len(set(found))} of {len(units)} units")


def lua_cost(url: str) -> Measured:
    """Return the milliseconds of a round trip that settles one unit and claims the next."""
    membership = Membership(f"bench-{time.monotonic_ns()}", "alpha", "t", EXCHANGES, "d", 15.0, 60.0)
    server = RedisServer(url, membership.key, membership.lease_s)

    def ask(exchange: Exchange) -> tuple[str, tuple[Place, ...]]:
        answer = answer_from_text(server.call(request_text(membership, exchange)), EXCHANGES)
        return answer.epoch, answer.claims

    epoch, _ = ask(Exchange(number=1, fresh=True))
    whole = NewPass(1, tuple(range(EXCHANGES)), whole=True)
    _, held = ask(Exchange(number=2, epoch=epoch, want=1, opens=whole))
    started_s = time.perf_counter()
    for number in range(EXCHANGES):
        _, held = ask(Exchange(number=3 + number, epoch=epoch, newest=1, want=1, settle=held))
    elapsed_s = time.perf_counter() - started_s
    if held:
        raise SystemExit("the queue hands out more than it has")
    return {"ms": 1000 * elapsed_s / EXCHANGES}


def streams_cost(url: str) -> Measured:
    """Return the milliseconds of reading one entry of a stream as a consumer of a group, and acknowledging it."""
    client = redis.Redis.from_url(url, protocol=2)
    stream, group = f"bench-{time.monotonic_ns()}", "fleet"
    pipeline = client.pipeline()
    for number in range(EXCHANGES):
        pipeline.xadd(stream, {"unit": number})
    pipeline.xgroup_create(stream, group, id="0")
    pipeline.execute()
    started_s = time.perf_counter()
    for _ in range(EXCHANGES):
        found: Any = client.xreadgroup(group, "alpha", {stream: ">"}, count=1)
        ((_, ((entry, _),)),) = found
        client.xack(stream, group, entry)
    elapsed_s = time.perf_counter() - started_s
    client.close()
    return {"ms": 1000 * elapsed_s / EXCHANGES}
