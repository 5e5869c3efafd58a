"""The shared queue's server in memory: what the script does, told a second time and in Python.

The simulation of many hosts runs against it; tests/contract/test_queue_script.py holds it to the script itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

Place = tuple[int, int]


@dataclass
class Pass:
    """A pass that is not complete: `left` units have no verdict yet."""

    todo: list[int]
    left: int
    done: set[int] = field(default_factory=set)


@dataclass
class Queue:
    """One epoch of the queue."""

    epoch: str
    digest: str
    ready: float
    newest: int = 0
    length: int = 0
    first: int = 0
    first_size: int = 0
    opener: tuple[str, float] | None = None
    passes: dict[int, Pass] = field(default_factory=dict)
    partial: set[int] = field(default_factory=set)
    claims: dict[str, set[Place]] = field(default_factory=dict)
    leases: dict[str, float] = field(default_factory=dict)
    replies: dict[str, dict[str, object]] = field(default_factory=dict)
    over: list[int] = field(default_factory=list)


class QueueModel:
    """The server. `now_ms` is its clock, which the test moves on; `restart` forgets everything."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.queue: Queue | None = None
        #: How often (pass, unit) was counted, over all epochs.
        self.counted: dict[tuple[str, int, int], int] = {}

    def restart(self) -> None:
        self.queue = None

    def call(self, request: str) -> bytes:
        return json.dumps(self._answer(json.loads(request))).encode()

    def _answer(self, ask: dict) -> dict[str, object]:  # type: ignore[type-arg]
        if self.queue is None:
            ready = self.now_ms if ask["fresh"] else self.now_ms + ask["lease_ms"]
            self.queue = Queue(ask["anew"], ask["digest"], ready)
        queue, member = self.queue, ask["member"]
        if queue.digest != ask["digest"]:
            return {"problem": "its units are not those of this host: were the hosts synced at different times?"}
        before = queue.replies.get(member)
        if before is not None and before["number"] == ask["number"]:
            return before
        joins = ask["epoch"] != queue.epoch
        lost = not joins and member not in queue.leases
        queue.leases[member] = self.now_ms + ask["lease_ms"]
        if joins and ask["newest"] > queue.newest:
            queue.passes.clear()
            queue.newest = ask["newest"]
        counted = [self._settle(queue, member, number, unit) for number, unit in ask["settle"]]
        for number, unit in ask["back"]:
            if (number, unit) in queue.claims.get(member, set()):
                queue.claims[member].discard((number, unit))
                self._give_back(queue, number, unit, head=False)
        if ask["bye"]:
            self._take_back(queue, member)
        for other in sorted(other for other, until in queue.leases.items() if until < self.now_ms):
            self._take_back(queue, other)
        gathering = self.now_ms < queue.ready
        if not gathering:
            self._open(queue, ask.get("opens"))
        claims: list[Place] = []
        for number in sorted(queue.passes):
            one = queue.passes[number]
            while len(claims) < ask["want"] and one.todo and not gathering and not ask["bye"]:
                entry = one.todo.pop(0)
                if entry >= 0 and entry in one.done:
                    continue
                if entry >= 0:
                    queue.claims.setdefault(member, set()).add((number, entry))
                claims.append((number, entry))
        answer: dict[str, object] = {
            "number": ask["number"],
            "epoch": queue.epoch,
            "gathering": gathering,
            "lost": lost,
            "counted": counted,
            "claims": claims,
            "newest": queue.newest,
            "oldest": min(queue.passes, default=queue.newest + 1),
            "covered": self._covered(queue),
            "opens": not gathering and not ask["bye"] and self._wants_pass(queue, member, ask["low"], ask["limit"]),
            "left": sum(len(one.todo) for one in queue.passes.values()),
            "done": [[number, _bits(queue.passes[number].done)] for number in sorted(queue.passes)]
            if ask["tell"]
            else [],
            "over": queue.over[0 if joins else ask["seen"] :],
        }
        queue.replies[member] = answer
        return answer

    def _settle(self, queue: Queue, member: str, number: int, unit: int) -> int:
        queue.claims.get(member, set()).discard((number, unit))
        one = queue.passes.get(number)
        if one is None or unit in one.done:
            return 0
        one.done.add(unit)
        one.left -= 1
        key = (queue.epoch, number, unit)
        self.counted[key] = self.counted.get(key, 0) + 1
        if not one.left:
            del queue.passes[number]
            if number not in queue.partial:
                queue.over.append(number)
        return 1

    def _give_back(self, queue: Queue, number: int, unit: int, *, head: bool) -> None:
        one = queue.passes.get(number)
        if one is not None and unit not in one.done:
            one.todo.insert(0 if head else len(one.todo), unit)

    def _take_back(self, queue: Queue, member: str) -> None:
        for number, unit in sorted(queue.claims.pop(member, set()), key=lambda place: (place[0], -place[1])):
            self._give_back(queue, number, unit, head=True)
        queue.leases.pop(member, None)

    def _open(self, queue: Queue, new: dict | None) -> None:  # type: ignore[type-arg]
        if new is None or new["number"] != queue.newest + 1:
            return
        size = sum(entry >= 0 for entry in new["entries"])
        queue.newest, queue.length, queue.opener = new["number"], len(new["entries"]), None
        queue.passes[queue.newest] = Pass(list(new["entries"]), size)
        if not new["whole"]:
            queue.partial.add(queue.newest)
        if not queue.first:
            queue.first, queue.first_size = queue.newest, size

    def _covered(self, queue: Queue) -> int:
        first = queue.passes.get(queue.first)
        return queue.first_size - (first.left if first is not None else 0)

    def _wants_pass(self, queue: Queue, member: str, low: int, limit: int) -> bool:
        newest = queue.passes.get(queue.newest)
        begun = newest is None or len(newest.todo) < queue.length
        left = sum(len(one.todo) for one in queue.passes.values())
        if left >= low or not begun or (limit and queue.newest >= limit):
            return False
        if queue.opener is None or queue.opener[1] <= self.now_ms:
            queue.opener = (member, self.now_ms + 2000)
        return queue.opener[0] == member


def _bits(units: set[int]) -> str:
    """Redis's bitmap as hex: long enough for the highest bit that was ever set; the first one is written at once."""
    size = max(units, default=0) // 8 + 1
    bitmap = bytearray(size)
    for unit in units:
        bitmap[unit // 8] |= 128 >> (unit % 8)
    return bitmap.hex()
