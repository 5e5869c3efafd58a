"""What doctor makes of a host: all findings about it, or the error that kept it from being asked.

Pure: the facts come from `core.probe`, the clock's difference is worked out from three readings, and the single checks
with their thresholds are in `core.host_checks`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sltfleet.core.errors import ConnectError, FleetError, HostKeyError, LoginError
from sltfleet.core.facts import HostFacts
from sltfleet.core.findings import Finding, Level, Needs, Skew
from sltfleet.core.host_checks import Asked, checks_for


@dataclass(frozen=True)
class HostDiagnosis:
    """All findings about one host; `facts` and `skew` are None where it could not be asked."""

    host: str
    findings: tuple[Finding, ...]
    facts: HostFacts | None = None
    skew: Skew | None = None
    #: One round trip to the shared queue, None where there is no queue or it cannot be used.
    queue_round_trip_s: float | None = None

    @property
    def level(self) -> Level:
        """The worst finding's level."""
        return max((finding.level for finding in self.findings), default=Level.OK)

    def to_json(self) -> dict[str, object]:
        """Return the documented JSON shape, null for what is unknown."""
        return {
            "host": self.host,
            "level": str(self.level),
            "findings": [finding.to_json() for finding in self.findings],
            "skew": asdict(self.skew) if self.skew else None,
            "queue_round_trip_s": self.queue_round_trip_s,
            "facts": asdict(self.facts) if self.facts else None,
        }


def estimate_skew(host_clock_s: float | None, sent_s: float, received_s: float) -> Skew | None:
    """Return the clock's difference from the controller's clock before the question and after the answer.

    The host read its clock somewhere between the two (Cristian's algorithm): half the round trip is the uncertainty.
    """
    if host_clock_s is None:
        return None
    round_trip_s = max(0.0, received_s - sent_s)
    return Skew(host_clock_s - (sent_s + round_trip_s / 2), round_trip_s / 2)


def diagnose(host: str, facts: HostFacts, needs: Needs, skew: Skew | None) -> HostDiagnosis:
    """Return every check's finding, in the order in which a person would care."""
    asked = Asked(host, facts, needs, skew)
    findings = (check(asked) for check in checks_for(facts, needs))
    return HostDiagnosis(host, tuple(finding for finding in findings if finding is not None), facts, skew)


def diagnose_unreachable(host: str, error: FleetError) -> HostDiagnosis:
    """Return the diagnosis of a host that gave no facts: its error, as a finding."""
    checks = ((HostKeyError, "host key"), (LoginError, "login"), (ConnectError, "reachable"))
    check = next((name for kind, name in checks if isinstance(error, kind)), "probe")
    text = error.what + (f": {error.why}" if error.why else "")
    return HostDiagnosis(host, (Finding(Level.ERROR, check, text, error.fix),))
