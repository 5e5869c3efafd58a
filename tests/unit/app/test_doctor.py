"""doctor over real shells: every selected host has a diagnosis, also the one that cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.app.doctor import check_controller, doctor
from sltfleet.app.progress import ProgressEvent, StepFailed, silent
from sltfleet.core.errors import ConnectError
from sltfleet.core.findings import Level
from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult, LineSink, RsyncEndpoint
from sltfleet.transport.local import LocalTransport
from tests.support.fleets import SUITES, local_hosts, opened
from tests.support.local_fleet import local_fleet


class Down(LocalTransport):
    """A host that does not answer."""

    def run(self, script: Script, *, timeout_s: float, on_line: LineSink | None = None) -> CommandResult:
        raise ConnectError("cannot connect", "connection refused", "start sshd there")

    def rsync_endpoint(self) -> RsyncEndpoint:
        raise ConnectError("cannot connect")


def test_a_host_that_is_down_has_a_finding_and_hides_no_other_host(odd_path: Path) -> None:
    fleet = local_fleet(odd_path, {"up": str(odd_path), "down": "/x", "up2": str(odd_path)}, {"down": Down("down")})
    events: list[ProgressEvent] = []
    results = doctor(fleet, events.append)
    assert list(results.values) == ["up", "down", "up2"]
    assert results.errors == {}
    down = results.values["down"]
    assert (down.level, down.facts, down.findings[0].fix) == (Level.ERROR, None, "start sshd there")
    facts = results.values["up"].facts
    assert facts is not None
    assert facts.project.state == "absent"
    assert [event.host for event in events if isinstance(event, StepFailed)] == ["down"]


def test_the_clock_is_read_between_the_question_and_the_first_line_of_the_answer(odd_path: Path) -> None:
    def clock() -> Iterator[float]:
        yield from (1000.0, 1001.0)
        while True:
            yield 5000.0

    ticks = clock()
    fleet = local_fleet(odd_path, {"here": str(odd_path)})
    diagnosis = doctor(fleet, silent, now=lambda: next(ticks)).values["here"]
    assert diagnosis.skew is not None
    assert diagnosis.skew.uncertainty_s == 0.5
    assert next(finding for finding in diagnosis.findings if finding.check == "clock").level is Level.WARNING


def test_the_same_machine_has_no_skew(odd_path: Path) -> None:
    diagnosis = doctor(local_fleet(odd_path, {"here": str(odd_path)}), silent).values["here"]
    assert diagnosis.skew is not None
    assert abs(diagnosis.skew.offset_s) <= diagnosis.skew.uncertainty_s + 0.1


@pytest.mark.parametrize(
    ("suites", "asked"),
    [
        ({"shell": {"units": {"kind": "command", "program": ["sh", "{unit}"], "items": ["a"]}}}, False),
        (
            {"made": {"build": {"command": ["make"], "output": "t"}, "units": {"kind": "partitions", "count": 1}}},
            False,
        ),
        ({"rust": {"units": {"kind": "libtest"}}}, True),
        ({"shell": {"units": {"kind": "command", "program": ["sh", "{unit}"], "items": ["a"]}}, **SUITES}, True),
    ],
)
def test_cargo_is_asked_for_only_where_a_suite_needs_it(
    odd_path: Path, suites: dict[str, dict[str, object]], asked: bool
) -> None:
    with opened(odd_path, local_hosts(odd_path, "here"), suites=suites) as fleet:
        findings = doctor(fleet, silent).values["here"].findings
    assert [check for check in (finding.check for finding in findings) if check in ("cargo", "linker")] == (
        ["cargo", "linker"] if asked else []
    )


def test_the_controllers_own_programs_are_checked(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = local_fleet(odd_path, {"here": str(odd_path)})
    bin_dir = odd_path / "bin"
    bin_dir.mkdir()
    for name in ("sh", "head"):
        (bin_dir / name).symlink_to(f"/bin/{name}")
    (bin_dir / "git").write_text("#!/bin/sh\necho git version 2.39.2\n")
    (bin_dir / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_dir))
    assert [(finding.check, finding.level) for finding in check_controller(fleet)] == [
        ("rsync", Level.ERROR),
        ("git", Level.OK),
    ]
