"""What doctor checks on the controller itself: the programs that sltfleet starts here."""

from __future__ import annotations

from sltfleet.core.findings import Finding, Level
from sltfleet.core.host_checks import check_rsync
from sltfleet.core.shell import Script

_VERSIONS = """\
for name in rsync git; do
  command -v "$name" >/dev/null && printf '%s\\t%s\\n' "$name" "$("$name" --version 2>/dev/null | head -n 1)"
done
command -v ssh >/dev/null && printf 'ssh\\t%s\\n' "$(ssh -V 2>&1 | head -n 1)"
exit 0
"""


def versions_script() -> Script:
    """Return the script that asks this machine's programs for their versions."""
    return Script(_VERSIONS)


def parse_versions(output: str) -> dict[str, str]:
    """Return the first line that each program says of its version; one that is missing has no entry."""
    rows = (line.split("\t", 1) for line in output.split("\n"))
    return {row[0]: row[1] for row in rows if len(row) == 2}


def diagnose_controller(versions: dict[str, str], *, uses_ssh: bool) -> tuple[Finding, ...]:
    """Return a finding per program; ssh is only looked at where a host is reached by it."""
    findings = [check_rsync(versions.get("rsync"), "install it here (Debian: sudo apt-get install rsync)")]
    if uses_ssh:
        findings.append(_program(versions, "ssh", Level.ERROR, "openssh-client", "ssh hosts cannot be reached"))
    findings.append(_program(versions, "git", Level.NOTE, "git", "runs are not labelled with their commit"))
    return tuple(findings)


def _program(versions: dict[str, str], name: str, level: Level, package: str, effect: str) -> Finding:
    if name in versions:
        return Finding(Level.OK, name, versions[name])
    fix = f"install it here (Debian: sudo apt-get install {package})"
    return Finding(level, name, f"{name} is missing: {effect}", fix)
