"""Which hosts run the canaries, and what becomes of errors; the real runner is in tests/e2e/test_verdicts.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app import canary as canary_module
from sltfleet.app.canary import Canaries, canaries, check_canaries, suites_without_canary
from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import silent
from sltfleet.config.model import CanaryConfig
from sltfleet.config.units import FilesConfig
from sltfleet.core.building import BuiltSuite
from sltfleet.core.diagnosis import HostDiagnosis
from sltfleet.core.errors import BuildError, RunError, UsageError
from sltfleet.core.findings import Finding, Level
from tests.support.local_fleet import local_fleet
from tests.support.suites import built_on

FINE = Finding(Level.OK, "verdict", "passed")


def with_canary(fleet: Fleet) -> Fleet:
    return with_suite(fleet, canary=CanaryConfig(passing="1/2", failing="2/2"))


def with_suite(fleet: Fleet, **changes: object) -> Fleet:
    suite = fleet.loaded.config.suites["s"].model_copy(update=changes)
    config = fleet.loaded.config.model_copy(update={"suites": {"s": suite}})
    return replace(fleet, loaded=replace(fleet.loaded, config=config))


def test_a_suite_without_canary_is_wrong_usage_and_noted_unasked(tmp_path: Path) -> None:
    fleet = local_fleet(tmp_path, {"a": "/a"})
    with pytest.raises(UsageError, match="has no canary") as caught:
        canaries(fleet, "s")
    assert "canary: {passing: UNIT, failing: UNIT}" in caught.value.fix
    files = FilesConfig(kind="files", root="units", include=("*",))
    (note,) = suites_without_canary(with_suite(fleet, units=files))
    assert (note.level, note.text.endswith(": s")) == (Level.NOTE, True)
    assert suites_without_canary(with_canary(with_suite(fleet, units=files))) == ()
    # Of a share nobody knows how it ends.
    assert suites_without_canary(fleet) == ()
    with pytest.raises(UsageError, match="no suite"):
        canaries(fleet, "x")


def test_only_hosts_that_are_fit_run_them_and_every_error_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = with_canary(local_fleet(tmp_path, {name: f"/{name}" for name in ("fine", "unbuilt", "lost", "unfit")}))
    asked: list[str] = []

    def build(there: Fleet, *_rest: object) -> HostResults[BuiltSuite]:
        asked.extend(host.name for host in there.hosts)
        built = {host.name: built_on(host.name) for host in there.hosts if host.name != "unbuilt"}
        return HostResults(built, {"unbuilt": BuildError("it does not compile", fix="mend it")})

    def run(host: Host, _chosen: Canaries, _built: BuiltSuite) -> tuple[Finding, ...]:
        if host.name == "lost":
            raise RunError("the run is lost", fix="try again")
        return (FINE,)

    monkeypatch.setattr(canary_module, "build", build)
    monkeypatch.setattr(canary_module, "run_canaries", run)
    before = [HostDiagnosis(host.name, (FINE,)) for host in fleet.hosts[:3]]
    unfit = HostDiagnosis("unfit", (Finding(Level.ERROR, "disk", "full"),))
    after = check_canaries(fleet, canaries(fleet, "s"), [*before, unfit], silent)
    assert asked == ["fine", "unbuilt", "lost"]
    assert [(found.host, found.level) for found in after] == [
        ("fine", Level.OK),
        ("unbuilt", Level.ERROR),
        ("lost", Level.ERROR),
        ("unfit", Level.ERROR),
    ]
    assert after[1].findings[-1].fix == "mend it"
    assert after[3] == unfit


def test_canaries_must_be_two_units() -> None:
    with pytest.raises(ValueError, match="one unit for both"):
        CanaryConfig(passing="a", failing="a")
