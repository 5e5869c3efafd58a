"""Which attempt is run again and where; the runner's part is tests/contract/test_repro.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sltfleet.app.fleet import Fleet
from sltfleet.app.repro import passed, plan_repro, print_line, run_again
from sltfleet.core.errors import FleetError, HostError, RunError
from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult, LineSink
from sltfleet.wire.repro import (
    Described,
    NotReproduced,
    ReproAnswer,
    Reproduced,
    ReproRequest,
    repro_line,
    request_from_text,
)
from tests.support.journals import RUN_ID, TIMEOUT_S, JournalBuilder
from tests.support.local_fleet import local_fleet
from tests.support.transports import ScriptedTransport, answer

Respond = Callable[[ReproRequest], list[str | ReproAnswer]]


class Streaming(ScriptedTransport):
    """Hands every line over as it is printed, as the real ones do."""

    def run(self, script: Script, *, timeout_s: float, on_line: LineSink | None = None) -> CommandResult:
        result = super().run(script, timeout_s=timeout_s)
        for line in result.stdout.splitlines():
            assert on_line is not None
            on_line(line)
        return result


def fleet_with(folder: Path, respond: Respond | None = None, *, exit_code: int = 0) -> Fleet:
    """A fetched run on alpha (failed) and beta (passed), and hosts that answer a request as `respond` says."""

    def run(script: Script) -> CommandResult:
        request = request_from_text(script.args[-1])
        said = respond(request) if respond else []
        return answer(
            "".join(f"{line}\n" if isinstance(line, str) else repro_line(request.mark, line) for line in said),
            exit_code=exit_code,
        )

    fleet = local_fleet(
        folder, {"alpha": "/alpha", "beta": "/beta"}, {name: Streaming(name, run) for name in ("alpha", "beta")}
    )
    alpha = JournalBuilder(host="alpha").attempt(1, "a.test", 2, 3, "fail", failed=(("a.test:7", "no"),))
    beta = JournalBuilder(host="beta").attempt(0, "a.test", 0, 1)
    for host, journal in (("alpha", alpha), ("beta", beta)):
        journal.write(fleet.paths, host)
    return fleet


def test_a_case_is_run_again_where_it_failed_with_what_the_attempt_had(tmp_path: Path) -> None:
    asked: list[ReproRequest] = []

    def respond(request: ReproRequest) -> list[str | ReproAnswer]:
        asked.append(request)
        return ["one", '@sltfleet-repro-guess@ {"kind":"reproduced"}', Reproduced(1, "fail", 0.1, exit_code=1)]

    fleet = fleet_with(tmp_path, respond)
    plan = plan_repro(fleet, RUN_ID[-6:], "a.test:7")
    lines: list[str] = []
    shown: list[Reproduced] = []
    results = run_again(fleet, plan, 1, lines.append, shown.append)
    assert plan.host.name == "alpha"
    assert lines == ["one", '@sltfleet-repro-guess@ {"kind":"reproduced"}']
    assert results == tuple(shown) == (Reproduced(1, "fail", 0.1, exit_code=1),)
    (request,) = asked
    assert (request.unit, request.worker, request.seed, request.remaining_s) == ("a.test", 1, 7, 98)
    assert (request.build_digest, request.times, request.describe) == ("b0", 1, False)
    assert request.timeout_s == TIMEOUT_S
    assert json.loads(json.dumps(request.mark)) not in lines
    assert not passed(results)


def test_hosts_choose_among_the_attempts(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path)
    assert plan_repro(fleet, RUN_ID, "a.test", ("beta",)).attempt.outcome == "pass"
    with pytest.raises(RunError, match=r"no attempt for 'a\.test:7' on beta"):
        plan_repro(fleet, RUN_ID, "a.test:7", ("beta",))


def test_what_is_not_known_is_told_with_what_is(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path)
    with pytest.raises(RunError) as caught:
        plan_repro(fleet, RUN_ID, "a.tset")
    assert "a.test" in caught.value.fix
    with pytest.raises(RunError, match="has been fetched") as caught:
        plan_repro(fleet, "20261123-140000-000001", "a.test")
    assert "sltfleet fetch" in caught.value.fix


def test_an_attempt_of_a_host_that_left_the_fleet_cannot_be_run_there(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path)
    JournalBuilder(host="gone").attempt(0, "z.test", 0, 1, "fail").write(fleet.paths, "gone")
    with pytest.raises(RunError, match="is no host of") as caught:
        plan_repro(fleet, RUN_ID, "z.test")
    assert "--local" in caught.value.fix
    assert plan_repro(fleet, RUN_ID, "z.test", local=True).host.name == "alpha"


def test_the_line_to_type_is_that_of_the_host(tmp_path: Path) -> None:
    described = Described("/a b", ("/bin/x", "1"), {"N": "2"})
    fleet = fleet_with(tmp_path, lambda request: [described] if request.describe else [])
    assert print_line(fleet, plan_repro(fleet, RUN_ID, "a.test")) == "cd '/a b' && env N=2 /bin/x 1"


def test_a_host_that_refuses_or_says_nothing_is_an_error_with_its_name(tmp_path: Path) -> None:
    cases: list[tuple[list[str | ReproAnswer], int, type[FleetError]]] = [
        ([NotReproduced("busy", "wait")], 3, RunError),
        ([], 0, RunError),
        (["x"], 69, HostError),
        ([], 66, RunError),
        ([Described("/", ("x",), {})], 0, RunError),
    ]
    for number, (said, code, kind) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        fleet = fleet_with(folder, lambda _request, said=said: said, exit_code=code)  # type: ignore[misc]
        plan = plan_repro(fleet, RUN_ID, "a.test")
        with pytest.raises(kind) as caught:
            run_again(fleet, plan, 1, lambda _line: None, lambda _result: None)
        assert caught.value.host == "alpha"
        assert caught.value.fix
