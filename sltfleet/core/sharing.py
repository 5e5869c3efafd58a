"""What the hosts of a run are told of each other, from what they answered when they were prepared. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sltfleet.wire.handshake import Prepared
from sltfleet.wire.share import Member, Share


@dataclass(frozen=True)
class Sharing:
    """The shares by host, empty where the hosts do not share their units; then `why` says what keeps them from it."""

    shares: dict[str, Share]
    why: str = ""


def share_out(prepared: Mapping[str, Prepared], speeds: Mapping[str, float]) -> Sharing:
    """Return what each host that is ready is told; `speeds` has one for each of them.

    Hosts that do not have the very same units cannot share them: nobody would know what is in another one's share.
    """
    if len(prepared) < 2:
        return Sharing({})
    lists = Counter(answer.units_digest for answer in prepared.values())
    if len(lists) > 1:
        return Sharing({}, _difference(prepared, lists))
    members = tuple(Member(host, answer.workers, speeds[host]) for host, answer in prepared.items())
    return Sharing({host: Share(host, members) for host in prepared})


def _difference(prepared: Mapping[str, Prepared], lists: Counter[str]) -> str:
    """Name the hosts whose units are not those of most, or all where no list is the one of most."""
    digest, count = lists.most_common(1)[0]
    usual = digest if 2 * count > len(prepared) else None
    odd = ", ".join(
        f"{host} has {answer.units}"
        for host, answer in prepared.items()
        if usual is None or answer.units_digest != usual
    )
    if usual is None:
        return f"the hosts do not have the same units: {odd}"
    units = next(answer.units for answer in prepared.values() if answer.units_digest == usual)
    return f"not all hosts have the same units: {odd}, and the others {units}"
