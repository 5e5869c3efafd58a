"""logs: the script that reads what a runner has written since, and which of it a person wants to see."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sltfleet.core.paths import HostPaths
from sltfleet.core.runid import is_run_id
from sltfleet.core.shell import ROOT_PRELUDE, Script
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.events import Event, event_from_line
from sltfleet.wire.format import FormatError

#: So much is read from a host at a time.
CHUNK_BYTES = 1024 * 1024

_NUMBER = re.compile(r"[0-9]{1,18}")

_FOLLOW = (
    ROOT_PRELUDE
    + """\
run=$1
if [ -z "$run" ]; then read -r run <"$root/current" || :; fi 2>/dev/null
[ -n "$run" ] || exit 0
[ -d "$root/runs/$run" ] || exit 0
file=$root/runs/$run/$2
[ -f "$file" ] || file=/dev/null
size=$(wc -c <"$file") || exit 0
from=$3
format=
if [ "$from" -lt 0 ]; then
  from=$((size + from)); [ "$from" -ge 0 ] || from=0
  format=$(head -n 1 "$file" | sed -n 's/.*"format": *\\([0-9]\\{1,9\\}\\)[^0-9].*/\\1/p')
fi
printf '%s %s %s\\n' "$run" "$from" "$format"
tail -c "+$((from + 1))" "$file" | head -c "$4"
"""
)


@dataclass(frozen=True)
class Followed:
    """A piece of a file on a host: `data` begins at byte `offset` of it."""

    run_id: str
    offset: int
    data: bytes
    #: The format that a journal's first line names, where the piece was asked for from the end; None for what has none.
    format: int | None = None

    @property
    def full(self) -> bool:
        """Whether it is as long as a piece may be: there is more to read."""
        return len(self.data) >= CHUNK_BYTES


def follow_script(paths: HostPaths, run_id: str | None, name: str, offset: int) -> Script:
    """Return the script that reads the run's file `name` from byte `offset` on; a negative one counts from the end."""
    return Script(_FOLLOW, (paths.project_dir, run_id or "", name, str(offset), str(CHUNK_BYTES)))


def parse_followed(output: str) -> Followed | None:
    """Return the piece that a host sent, None where there is no such run. A file that is not there yet is empty."""
    head, newline, body = output.partition("\n")
    run_id, _, numbers = head.partition(" ")
    offset, _, found = numbers.partition(" ")
    if not newline or not is_run_id(run_id) or not _NUMBER.fullmatch(offset):
        return None
    format_number = int(found) if _NUMBER.fullmatch(found) else None
    return Followed(run_id, int(offset), body.encode("utf-8", "surrogateescape"), format_number)


def whole_lines(piece: Followed) -> tuple[list[bytes], int]:
    """Return the complete lines of a piece that starts at a line, and the offset at which to go on reading.

    A line longer than a piece is given in parts: waiting for its end would be waiting for ever.
    """
    end = piece.data.rfind(b"\n") + 1
    if not end and piece.full:
        end = len(piece.data)
    return piece.data[:end].splitlines(), piece.offset + end


def drop_torn_start(piece: Followed) -> Followed:
    """Return the piece without the part of a line with which one that starts in the middle of a file begins."""
    if piece.offset == 0:
        return piece
    start = piece.data.find(b"\n") + 1
    return replace(piece, offset=piece.offset + start, data=piece.data[start:])


def read_events(lines: list[bytes]) -> list[Event]:
    """Return the events of journal lines; those that this version cannot read are left out."""
    events: list[Event] = []
    for line in lines:
        try:
            events.append(event_from_line(line))
        except (DecodeError, FormatError):
            continue
    return events
