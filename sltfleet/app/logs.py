"""logs: what the runners write, as it comes: attempts from the journal, or the runner's own log.

Every host is read by a thread of its own, so that a slow one delays nobody's lines.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from sltfleet.app.fleet import HEED_SIGNALS_S, Fleet, Host
from sltfleet.app.runs import UNREADABLE_FIX
from sltfleet.core.backoff import POLL_INTERVAL_S, wait_s
from sltfleet.core.errors import FleetError, RunError
from sltfleet.core.following import drop_torn_start, follow_script, parse_followed, read_events, whole_lines
from sltfleet.core.polling import SETTLED
from sltfleet.wire.events import Event
from sltfleet.wire.format import FormatError, check_format

#: How much of the end is shown at first.
TAIL_BYTES = 64 * 1024

_READ_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class LogLine:
    """A line of the runner's own log (`text`), or an event of its journal."""

    host: str
    event: Event | None = None
    text: str = ""


class LogReader:
    """Reads one host's journal (or runner.log) piece by piece, each line once.

    `run_id` is known from the first answer on: a run that begins later is not mixed in. `found`: the host has it.
    `behind` is True where the last piece was full, so that there is more to read at once.
    """

    def __init__(self, host: Host, run_id: str | None, *, runner_log: bool) -> None:
        self.host = host
        self.run_id = run_id
        self.behind = False
        self.found = False
        self._name = "runner.log" if runner_log else "journal.jsonl"
        self._offset: int | None = None

    def read(self) -> list[LogLine]:
        """Return the lines that are new since the last call.

        Raises HostError, and RunError for a run of another version.
        """
        asked = -TAIL_BYTES if self._offset is None else self._offset
        script = follow_script(self.host.paths, self.run_id, self._name, asked)
        piece = parse_followed(self.host.transport.run(script, timeout_s=_READ_TIMEOUT_S).stdout)
        self.behind = piece is not None and piece.full
        if piece is None:
            return []
        self.found = True
        if piece.format is not None:
            _check_format(self.host.name, piece.run_id, piece.format)
        if self._offset is None:
            piece = drop_torn_start(piece)
        self.run_id = piece.run_id
        lines, self._offset = whole_lines(piece)
        if self._name == "runner.log":
            return [LogLine(self.host.name, text=line.decode("utf-8", "replace")) for line in lines]
        return [LogLine(self.host.name, event=event) for event in read_events(lines)]


def _check_format(host: str, run_id: str, found: int) -> None:
    try:
        check_format(found, f"the journal of run {run_id}")
    except FormatError as error:
        raise RunError("the run cannot be read", str(error), UNREADABLE_FIX, host) from error


@dataclass(frozen=True)
class _Arrival:
    """What a host's thread hands over: lines, an error, or that there is no run. After the `last` one nothing comes
    from that host.
    """

    host: str
    lines: tuple[LogLine, ...] = ()
    error: Exception | None = None
    idle: bool = False
    last: bool = False


def read_logs(
    fleet: Fleet,
    run_id: str | None,
    *,
    follow: bool,
    runner_log: bool,
    condition: Callable[[Host, str | None], str],
    on_error: Callable[[str, FleetError], None],
    on_idle: Callable[[str], None],
    interval_s: float = POLL_INTERVAL_S,
) -> Iterator[LogLine]:
    """Give the last lines of all selected hosts, those of one read together; with `follow`, until every run is settled.

    `condition` says what state a run on a host is in (None: the newest one). A host that fails is reported by
    `on_error` once, and asked again with growing waits where it is followed. One that answers and has no such run is
    reported by `on_idle`.
    """
    closing = threading.Event()
    arrivals: SimpleQueue[_Arrival] = SimpleQueue()
    readers = [LogReader(host, run_id, runner_log=runner_log) for host in fleet.hosts]

    def read_all(reader: LogReader) -> None:
        failures = 0
        while not closing.is_set():
            try:
                # Asked before the read: what a run wrote before it settled is read in any case.
                settled = not follow or condition(reader.host, reader.run_id) in SETTLED
                arrivals.put(_Arrival(reader.host.name, tuple(reader.read())))
            except FleetError as error:
                if not failures:
                    arrivals.put(_Arrival(reader.host.name, error=error))
                failures += 1
                if not follow or isinstance(error, RunError):
                    return
            else:
                failures = 0
                if reader.behind:
                    continue
                if settled:
                    if not reader.found:
                        arrivals.put(_Arrival(reader.host.name, idle=True))
                    return
            closing.wait(wait_s(failures, random.random(), interval_s))

    def guarded(reader: LogReader) -> None:
        defect: Exception | None = None
        try:
            read_all(reader)
        except Exception as error:  # noqa: BLE001 - raised again by the thread that reads the queue
            defect = error
        arrivals.put(_Arrival(reader.host.name, error=defect, last=True))

    for reader in readers:
        # A read in flight may wait for a dead host: the thread is a daemon and ends with the process.
        threading.Thread(target=guarded, args=(reader,), name=f"logs {reader.host.name}", daemon=True).start()
    open_hosts = len(readers)
    try:
        while open_hosts:
            try:
                arrival = arrivals.get(timeout=HEED_SIGNALS_S)
            except Empty:
                continue
            open_hosts -= arrival.last
            if arrival.idle:
                on_idle(arrival.host)
            if isinstance(arrival.error, FleetError):
                on_error(arrival.host, arrival.error)
            elif arrival.error is not None:
                raise arrival.error
            yield from arrival.lines
    finally:
        closing.set()
