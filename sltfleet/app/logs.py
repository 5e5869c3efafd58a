"""logs: what the runners write, as it comes: attempts from the journal, or the runner's own log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sltfleet.app.fleet import Fleet, Host
from sltfleet.core.errors import FleetError
from sltfleet.core.following import drop_torn_start, follow_script, parse_followed, read_events, whole_lines
from sltfleet.core.polling import SETTLED
from sltfleet.wire.events import Event

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
    """Reads one host's journal (or runner.log) piece by piece, each line once."""

    def __init__(self, host: Host, run_id: str | None, *, runner_log: bool) -> None:
        self.host = host
        self._run_id = run_id
        self._name = "runner.log" if runner_log else "journal.jsonl"
        self._offset: int | None = None

    def read(self) -> list[LogLine]:
        """Return the lines that are new since the last call. Raises HostError."""
        asked = -TAIL_BYTES if self._offset is None else self._offset
        script = follow_script(self.host.paths, self._run_id, self._name, asked)
        piece = parse_followed(self.host.transport.run(script, timeout_s=_READ_TIMEOUT_S).stdout)
        if piece is None:
            return []
        if self._offset is None:
            piece = drop_torn_start(piece)
        self._run_id = piece.run_id
        lines, self._offset = whole_lines(piece)
        if self._name == "runner.log":
            return [LogLine(self.host.name, text=line.decode("utf-8", "replace")) for line in lines]
        return [LogLine(self.host.name, event=event) for event in read_events(lines)]


def read_logs(
    fleet: Fleet,
    run_id: str | None,
    *,
    follow: bool,
    runner_log: bool,
    wait: Callable[[], None],
    condition: Callable[[Host], str],
    on_error: Callable[[str, FleetError], None],
) -> Iterator[LogLine]:
    """Give the lines of all selected hosts, those of one read together; with `follow`, until every run is settled.

    `wait` is called between two rounds, `condition` says what state a host is in; a host that fails is reported once by `on_error`
    and asked again in the next round.
    """
    readers = [LogReader(host, run_id, runner_log=runner_log) for host in fleet.hosts]
    failing: set[str] = set()
    while readers:
        for reader in list(readers):
            name = reader.host.name
            try:
                # Asked before the read: what a run wrote before it settled is read in any case.
                settled = not follow or condition(reader.host) in SETTLED
                lines = reader.read()
                failing.discard(name)
            except FleetError as error:
                if name not in failing:
                    on_error(name, error)
                failing.add(name)
                if not follow:
                    readers.remove(reader)
                continue
            yield from lines
            if settled and not lines:
                readers.remove(reader)
        if readers and follow:
            wait()
