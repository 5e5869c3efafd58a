"""Several hosts in one process and on one clock: their schedules, their workers, and the network to the queue's model.

Everything that the event loop, the dispatcher and the link do for a `QueueScheduler` is done here by the letter, with
events on a heap. A host may be cut off the network or die, the server may forget everything, answers may get lost.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Progress
from sltfleet.runner.queue_messages import Answer, Exchange, Membership, answer_from_text, request_text
from sltfleet.runner.queue_schedule import QueueScheduler
from sltfleet.runner.replay import Replay
from sltfleet.runner.schedule import Assignment, Wait
from sltfleet.wire import events as wire
from tests.support.journals import JournalBuilder
from tests.support.queue_model import QueueModel

#: What the network takes for a request, and for an answer.
ONE_WAY_S = 0.0005

#: The link's time limit, and the pause before it tries again.
TIMEOUT_S = 2.0
RETRY_S = 0.5

#: The loop comes round so often at least.
TURN_S = 1.0


@dataclass(frozen=True)
class Ran:
    """An attempt that is over."""

    host: str
    assignment: Assignment
    attempt: int
    start_s: float
    end_s: float


@dataclass
class Host:
    """One host of the fleet: `speed` times as fast as the durations say."""

    name: str
    scheduler: QueueScheduler
    membership: Membership
    knowledge: Knowledge
    workers: int
    speed: float
    up: bool = True
    connected: bool = True
    free_since: dict[int, float] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)
    events: list[wire.Event] = field(default_factory=list)
    attempts: int = 0
    failing: bool = False


class Fleet:
    """Runs hosts until the budget is over or all workers have left."""

    def __init__(
        self,
        durations: dict[str, float],
        speeds: dict[str, tuple[int, float]],
        *,
        passes: int | None = None,
        budget_s: float = 1e9,
        seed: int = 1,
        lease_s: float = 15.0,
        known: bool = True,
        knowledge: Callable[[float], Knowledge] | None = None,
    ) -> None:
        """`speeds`: a host's name -> its workers and its speed."""
        self.durations, self.budget_s, self.passes = durations, budget_s, passes
        self.server = QueueModel()
        self.now = 0.0
        self.ran: list[Ran] = []
        #: (from, to): a worker had nothing to do.
        self.gaps: list[tuple[float, float]] = []
        self.hosts: dict[str, Host] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._seed, self._lease_s, self._speeds = seed, lease_s, speeds
        for place, (name, (workers, speed)) in enumerate(speeds.items()):
            knows = knowledge(speed) if knowledge is not None else Knowledge()
            membership = Membership("run", name, f"t{place}", len(durations), "d", lease_s, 60.0, passes or 0)
            self.hosts[name] = Host(name, self._scheduler(name, knows), membership, knows, workers, speed)

    def _scheduler(self, name: str, knowledge: Knowledge, progress: Progress | None = None) -> QueueScheduler:
        names = sorted(self.durations)
        return QueueScheduler(
            names,
            self._seed,
            knowledge,
            self.passes,
            workers=self._speeds[name][0],
            fleet_workers=sum(count for count, _ in self._speeds.values()),
            lease_s=self._lease_s,
            shard=names[list(self._speeds).index(name) :: len(self._speeds)],
            salt=name,
            progress=progress,
        )

    def at(self, when_s: float, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when_s, self._count, what))

    def run(self) -> Fleet:
        for host in self.hosts.values():
            self._begin(host)
        while self._heap:
            when_s, _, what = heapq.heappop(self._heap)
            if when_s >= self.budget_s:
                break
            self.now = max(self.now, when_s)
            self.server.now_ms = self.now * 1000
            what()
            if all(not host.up or len(host.left) == host.workers for host in self.hosts.values()):
                break
        self._goodbye()
        return self

    # --- what may happen to hosts ------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        self.hosts[name].up = False

    def resume(self, name: str) -> None:
        """A new runner goes on with a host's part: all that it knows is the journal."""
        old = self.hosts[name]
        old.up = False
        started = JournalBuilder(units=tuple(sorted(self.durations)), workers=old.workers).events[0]
        assert isinstance(started, wire.RunStarted)
        replay = Replay(replace(started, seed=self._seed), old.knowledge, queued=True)
        for event in old.events:
            replay.add(event)
        past = replay.past(self.now)
        host = self.hosts[name] = replace(
            old,
            scheduler=self._scheduler(name, old.knowledge, past.progress),
            membership=replace(old.membership, token=f"{old.membership.token}+"),
            up=True,
            left=set(),
            events=[*old.events, *past.lost],
        )
        self._begin(host)

    def connect(self, name: str, connected: bool) -> None:
        self.hosts[name].connected = connected

    # --- what the journals say ---------------------------------------------------------------------------------------

    def counted(self) -> dict[tuple[int, str], int]:
        """(pass, unit) -> how many attempts the journals call counted."""
        units = {(ran.host, ran.attempt): ran.assignment.unit for ran in self.ran}
        found: dict[tuple[int, str], int] = {}
        for host in self.hosts.values():
            for event in host.events:
                if isinstance(event, wire.Counted):
                    for attempt in event.attempts:
                        key = (event.pass_number, units[host.name, attempt])
                        found[key] = found.get(key, 0) + 1
        return found

    def notes(self, name: str) -> list[str]:
        return [event.text for event in self.hosts[name].events if isinstance(event, wire.Note)]

    # --- the loop and the dispatcher of a host -----------------------------------------------------------------------

    def _begin(self, host: Host) -> None:
        host.free_since = dict.fromkeys(range(host.workers), self.now)
        self._send(host)
        for worker in range(host.workers):
            self._assign(host, worker)
        self._turn(host)

    def _turn(self, host: Host) -> None:
        if host.up:
            self._send(host)
            self.at(self.now + TURN_S, lambda: self._turn(host))

    def _assign(self, host: Host, worker: int) -> bool:
        """Whether the worker got something."""
        if worker not in host.free_since or worker in host.left or not host.up:
            return False
        choice = host.scheduler.next_unit(worker, self.now, self.budget_s - self.now, lambda _unit: True)
        if isinstance(choice, Wait):
            self.at(self.now + choice.again_s, lambda: self._ask_again(host, worker))
            return False
        if choice is None:
            host.left.add(worker)
            return False
        since_s = host.free_since.pop(worker)
        if self.now > since_s:
            self.gaps.append((since_s, self.now))
        host.attempts += 1
        number, start_s = host.attempts, self.now
        host.events.append(
            wire.AttemptStarted(start_s, number, choice.unit, worker, choice.pass_number, choice.seed, 1)
        )
        end_s = self.now + self.durations[choice.unit] / host.speed
        self.at(end_s, lambda: self._finished(host, worker, choice, number, start_s))
        return True

    def _ask_again(self, host: Host, worker: int) -> None:
        self._assign(host, worker)
        self._send(host)

    def _finished(self, host: Host, worker: int, assignment: Assignment, number: int, start_s: float) -> None:
        if not host.up:
            return
        self.ran.append(Ran(host.name, assignment, number, start_s, self.now))
        pass_number, seed, unit = assignment.pass_number, assignment.seed, assignment.unit
        ended = wire.AttemptFinished(self.now, number, unit, worker, pass_number, seed, "pass", self.now - start_s)
        host.events.append(ended)
        host.knowledge.learn(ended)
        host.scheduler.finished(assignment, number)
        host.free_since[worker] = self.now
        self._assign(host, worker)
        self._assign_waiting(host)
        self._send(host)

    def _assign_waiting(self, host: Host) -> None:
        for worker in sorted(host.free_since):
            if not self._assign(host, worker) and worker not in host.left:
                break

    # --- the link ----------------------------------------------------------------------------------------------------

    def _send(self, host: Host) -> None:
        exchange = host.scheduler.request(self.now) if host.up else None
        due_s = host.scheduler.due_s if host.up else None
        if exchange is not None:
            self._try(host, exchange)
        elif due_s is not None and due_s < self.now + TURN_S:
            self.at(max(due_s, self.now + 0.0001), lambda: self._send(host))

    def _try(self, host: Host, exchange: Exchange) -> None:
        if not host.up:
            return
        if host.connected:
            self.at(self.now + ONE_WAY_S, lambda: self._arrives(host, exchange))
        else:
            self.at(self.now + TIMEOUT_S, lambda: self._fails(host, exchange))

    def _arrives(self, host: Host, exchange: Exchange) -> None:
        text = self.server.call(request_text(host.membership, exchange)) if host.connected else b""

        def comes_back() -> None:
            if text and host.connected:
                self._told(host, answer_from_text(text, len(self.durations)))
            else:  # it may well have been done
                self.at(self.now + TIMEOUT_S, lambda: self._fails(host, exchange))

        self.at(self.now + ONE_WAY_S, comes_back)

    def _fails(self, host: Host, exchange: Exchange) -> None:
        if host.up:
            host.events += host.scheduler.unreachable("timed out", self.now)
            self._assign_waiting(host)
            self.at(self.now + RETRY_S, lambda: self._try(host, replace(exchange, fresh=False)))

    def _told(self, host: Host, answer: Answer) -> None:
        if host.up:
            host.events += host.scheduler.told(answer, self.now)
            self._assign_waiting(host)
            self._send(host)

    def _goodbye(self) -> None:
        """What is in flight arrives, and all that is left is told."""
        for host in self.hosts.values():
            while host.up and host.connected:
                exchange = host.scheduler.goodbye(self.now)
                if exchange is None and not host.scheduler.in_flight:
                    break
                exchange = exchange or host.scheduler.in_flight
                assert exchange is not None
                text = self.server.call(request_text(host.membership, exchange))
                host.events += host.scheduler.told(answer_from_text(text, len(self.durations)), self.now)
                if exchange.bye and not host.scheduler.unsettled:
                    break
