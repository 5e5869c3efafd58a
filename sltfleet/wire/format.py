"""The version of every format on the wire, and what to say when the other side speaks another one."""

from __future__ import annotations

#: One number for spec, journal and state. It grows by one with every change that an older reader would misread.
FORMAT_VERSION = 1

#: The oldest format that this version still reads.
OLDEST_READABLE_FORMAT = 1


#: The formats that this version reads, in words.
_READABLE = (
    str(FORMAT_VERSION) if OLDEST_READABLE_FORMAT == FORMAT_VERSION else f"{OLDEST_READABLE_FORMAT} to {FORMAT_VERSION}"
)


class FormatError(ValueError):
    """What was read is not in a format that this version reads."""


class FormatTooOld(FormatError):
    """Written by a sltfleet whose format is no longer read."""

    def __init__(self, found: int, what: str) -> None:
        super().__init__(
            f"{what} has format {found}, and this sltfleet reads {_READABLE}: "
            "it was written by an older sltfleet; read it with that one, or run again"
        )
        self.found = found


class FormatTooNew(FormatError):
    """Written by a sltfleet newer than this one."""

    def __init__(self, found: int, what: str) -> None:
        super().__init__(
            f"{what} has format {found}, and this sltfleet reads {_READABLE}: "
            "it was written by a newer sltfleet; upgrade this one"
        )
        self.found = found


def check_format(found: object, what: str) -> int:
    """Return `found` where this version reads it.

    Raises FormatTooOld, FormatTooNew, or FormatError where it is no version at all. `what` names the document
    for the message, e.g. ``"the journal of run 20261123-…"``.
    """
    if isinstance(found, bool) or not isinstance(found, int):
        raise FormatError(f"{what} has no format version: it was not written by sltfleet, or is damaged")
    if found < OLDEST_READABLE_FORMAT:
        raise FormatTooOld(found, what)
    if found > FORMAT_VERSION:
        raise FormatTooNew(found, what)
    return found
