"""Transfers that take their time, so that one can be caught in its middle on whatever machine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from sltfleet.core.shell import quote
from tests.faults.campaign import Campaign

#: Of random bytes, which do not shrink on their way: eight seconds, and more than all buffers on the way hold.
BIG_BYTES = 16_000_000
_KILOBYTES_PER_S = 2000


@contextlib.contextmanager
def slow_transfers(fleet: Campaign, folder: Path) -> Iterator[None]:
    """What the person starts in the block transfers 2 MB a second."""
    real = shutil.which("rsync")
    assert real is not None
    tools = folder / "slow tools"
    tools.mkdir()
    (tools / "rsync").write_text(f'#!/bin/sh\nexec {quote(real)} --bwlimit={_KILOBYTES_PER_S} "$@"\n')
    (tools / "rsync").chmod(0o755)
    path = fleet.person.environment()["PATH"]
    fleet.person.environ["PATH"] = f"{tools}:{path}"
    try:
        yield
    finally:
        fleet.person.environ["PATH"] = path
