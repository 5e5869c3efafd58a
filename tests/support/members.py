"""Hosts of a run with workers and speeds, and what no schedule on them can beat."""

from __future__ import annotations

from hypothesis import strategies as st

from sltfleet.wire.share import Member

MEMBERS = st.lists(
    st.tuples(st.integers(1, 8), st.sampled_from([0.25, 0.5, 1.0, 1.7, 3.0])), min_size=1, max_size=6
).map(lambda hosts: tuple(Member(f"h{number}", *host) for number, host in enumerate(hosts)))


def lower_bound_s(durations: dict[str, float], members: tuple[Member, ...]) -> float:
    """No schedule of one pass can be shorter."""
    fastest = max(member.speed for member in members)
    capacity = sum(member.workers * member.speed for member in members)
    return max(max(durations.values()) / fastest, sum(durations.values()) / capacity)
