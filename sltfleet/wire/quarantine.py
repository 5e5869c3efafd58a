"""The notes of a journal about units in quarantine: written by the runner, read back for the report."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

#: How such a note begins.
IN_QUARANTINE = "in quarantine after "
OUT_OF_QUARANTINE = "out of quarantine, it did not time out: "

_IN = re.compile(re.escape(IN_QUARANTINE) + r"([0-9]{1,9}) timeouts in a row: (.*)\Z", re.DOTALL)


class Quarantine(NamedTuple):
    """A unit that has timed out so often in a row that it is run rarely; with 0 `timeouts`, one that no longer is."""

    unit: str
    timeouts: int


def quarantine_text(told: Quarantine) -> str:
    """Return the note's text."""
    if told.timeouts:
        return f"{IN_QUARANTINE}{told.timeouts} timeouts in a row: {told.unit}"
    return OUT_OF_QUARANTINE + told.unit


def quarantine_from_text(text: str) -> Optional[Quarantine]:
    """Return what a note tells, None where it is about something else."""
    found = _IN.match(text)
    if found is not None:
        return Quarantine(found.group(2), int(found.group(1)))
    if text.startswith(OUT_OF_QUARANTINE):
        return Quarantine(text[len(OUT_OF_QUARANTINE) :], 0)
    return None
