"""The shared queue as the event loop sees it: the schedule that decides, and the link that talks.

The loop hands over what was told when it is woken, and lets the next request be made once all workers are busy again.
Only at the end of the run, when no worker is left, does it wait for an answer, for a bounded time.
"""

from __future__ import annotations

import time
from typing import List, Optional

from sltfleet.runner.queue_link import WAKE_SIGNAL, QueueLink
from sltfleet.runner.queue_messages import Answer, Told
from sltfleet.runner.queue_schedule import QueueScheduler
from sltfleet.wire import events as wire

#: So long the end of the run waits for the queue.
GOODBYE_S = 2.0


class SharedQueue:
    """Keeps a host's schedule and the queue in touch. `now` is always in seconds on the run's clock."""

    #: Comes when there is something to receive.
    wake_signal = WAKE_SIGNAL

    def __init__(self, scheduler: QueueScheduler, link: QueueLink) -> None:
        self._scheduler = scheduler
        self._link = link

    @property
    def trouble(self) -> str:
        """Why the host goes on without the queue, "" where it does not."""
        return self._scheduler.trouble

    @property
    def due_s(self) -> Optional[float]:
        """When the next exchange is due at the latest, None while one is under way."""
        return self._scheduler.due_s

    def start(self, now: float) -> None:
        """Begin the conversation."""
        self._link.start()
        self.send(now)

    def send(self, now: float) -> None:
        """Let the next exchange be made, if there is a reason for one."""
        exchange = self._scheduler.request(now)
        if exchange is not None:
            self._link.send(exchange)

    def receive(self, now: float) -> Optional[List[wire.Event]]:
        """Tell the schedule what the queue has told, and return what the journal is to know of it; None: nothing."""
        told = self._link.receive()
        return [event for one in told for event in self._take(one, now)] if told else None

    def goodbye(self, now: float) -> List[wire.Event]:
        """Tell the queue what it does not know yet, and give back what is held."""
        events: List[wire.Event] = []
        deadline = time.monotonic() + GOODBYE_S
        said = False
        while not self.trouble and not (said and not self._scheduler.unsettled):
            exchange = self._scheduler.goodbye(now)
            if exchange is not None:
                self._link.send(exchange)
                said = True
            told = self._link.wait(deadline - time.monotonic())
            if told is None:
                break
            events += self._take(told, now)
        if self._scheduler.unsettled:
            text = f"{self._scheduler.unsettled} verdicts are not counted: the queue could not be told of them"
            events.append(wire.Note(t=now, text=text))
        return events

    def _take(self, told: Told, now: float) -> List[wire.Event]:
        if isinstance(told, Answer):
            return self._scheduler.told(told, now)
        return self._scheduler.unreachable(told.reason, now)
