"""Several commands at once, as from several terminals."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.campaign import Campaign
from tests.support.cli import Typed

#: Every command whose hosts fail gives up after seconds in these tests; two minutes are for a loaded machine.
DEADLINE_S = 120.0


def type_at_once(fleet: Campaign, commands: Sequence[str], *more: str) -> dict[str, Typed]:
    """Type the commands side by side, with `more` words each; all must end in time."""
    processes = {command: fleet.person.start(*command.split(), *more) for command in commands}
    return {command: fleet.person.finish(process, DEADLINE_S) for command, process in processes.items()}
