"""A thread that talks to the shared queue, so that the event loop never waits for the network.

Requests and answers change hands through plain queues, and a signal, which the loop waits for anyway, tells it that
there is something. A request is repeated until it is answered. Redis itself is known to `queue_redis` only.
"""

from __future__ import annotations

import queue
import random
import signal
import threading
from dataclasses import replace
from typing import List, Optional, Protocol

from sltfleet.runner.queue_messages import (
    Answer,
    Exchange,
    MalformedAnswerError,
    Membership,
    Told,
    Unreachable,
    answer_from_text,
    request_text,
)

#: Tells the event loop that the queue has answered.
WAKE_SIGNAL = signal.SIGUSR2

#: The pause after a failed exchange, doubled with every further one up to the maximum.
RETRY_S = 0.1
RETRY_MAX_S = 2.0


class NoAnswerError(Exception):
    """The queue did not answer; the text says why, without any secret."""


class Server(Protocol):
    """Whatever runs the queue's script."""

    def call(self, request: str, /) -> bytes:
        """Run the script, and return its answer. Raises NoAnswerError; never waits without a limit."""


def pause_s(failures: int, chance: float) -> float:
    """Return the pause after so many failures in a row: at random between half of it and all, so that hosts that
    lost the queue together do not come back together (`chance` is from 0 to 1).
    """
    longest_s = min(RETRY_MAX_S, RETRY_S * 2.0 ** min(failures - 1, 16))
    return longest_s / 2 + longest_s / 2 * chance


def wake_main_thread() -> None:
    """Let the event loop's wait end. Any thread may call this."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, WAKE_SIGNAL)


class QueueLink:
    """Makes exchanges with the queue, one at a time."""

    def __init__(self, membership: Membership, server: Server) -> None:
        self._membership = membership
        self._server = server
        self._requests: queue.SimpleQueue[Exchange] = queue.SimpleQueue()  # novm: nobody evaluates it
        self._told: queue.SimpleQueue[Told] = queue.SimpleQueue()  # novm: nobody evaluates it
        # A daemon: an exchange that hangs must not keep the runner from ending.
        self._thread = threading.Thread(target=self._work, name="queue", daemon=True)

    def start(self) -> None:
        """Start the thread. The signals that the event loop waits for must be blocked already: it inherits that."""
        self._thread.start()

    def send(self, exchange: Exchange) -> None:
        """Let the exchange be made. Returns at once."""
        self._requests.put(exchange)

    def receive(self) -> List[Told]:
        """Return what was told since the last call. Returns at once."""
        found: List[Told] = []
        while not self._told.empty():
            found.append(self._told.get_nowait())
        return found

    def wait(self, timeout_s: float) -> Optional[Told]:
        """Return the next thing that is told, None where there is none in time."""
        try:
            return self._told.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None

    def _work(self) -> None:
        pause = threading.Event()
        while True:
            exchange = self._requests.get()
            failures = 0
            reason = ""
            while True:
                told = self._try(exchange)
                if isinstance(told, Answer) or told.reason != reason:
                    self._told.put(told)
                    wake_main_thread()
                if isinstance(told, Answer):
                    break
                failures, reason = failures + 1, told.reason
                exchange = replace(exchange, fresh=False)
                pause.wait(pause_s(failures, random.random()))

    def _try(self, exchange: Exchange) -> Told:
        try:
            answer = self._server.call(request_text(self._membership, exchange))
            return answer_from_text(answer, self._membership.units)
        except (NoAnswerError, MalformedAnswerError) as error:
            return Unreachable(str(error))
