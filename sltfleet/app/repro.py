"""repro: runs an attempt of a fetched run again: the same unit, seed, environment, folder and executable."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sltfleet.app.archive import runner_archive
from sltfleet.app.fleet import Fleet, Host
from sltfleet.app.runs import resolve_run
from sltfleet.core.errors import HostError, RunError
from sltfleet.core.nearest import did_you_mean
from sltfleet.core.repro import not_reproduced, read_repro, repro_failure, repro_script, shell_line
from sltfleet.results.attempts import PastAttempt, find_attempt, names_of_run
from sltfleet.results.store import Store
from sltfleet.wire.outcome import PASS, SKIP
from sltfleet.wire.repro import Described, NotReproduced, ReproAnswer, Reproduced, ReproRequest

__all__ = ["PastAttempt", "Plan", "Reproduced", "passed", "plan_repro", "print_line", "run_again"]

#: Of each repetition, beyond the unit's own timeout: its processes are ended, the connection is slow.
SPARE_S = 60.0

#: For the archive and the check of what is there.
START_S = 180.0

#: A unit's timeout where fleet.yaml does not have the suite any more.
UNKNOWN_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Plan:
    """Which attempt is run again, and where."""

    attempt: PastAttempt
    host: Host


def plan_repro(fleet: Fleet, run_text: str, name: str, hosts: Sequence[str] = (), *, local: bool = False) -> Plan:
    """Return what is to be run again for the case or unit `name`: the first attempt that failed it.

    `hosts`: only attempts of these (none: of any). `local`: run it on this machine, whose executable must be of the
    same build. Raises RunError for what is not known or not fetched.
    """
    attempt = _find(fleet, run_text, name, hosts)
    if not local:
        host = next((host for host in fleet.hosts if host.name == attempt.host), None)
        if host is None:
            why = f"it ran on {attempt.host}, which is no host of {fleet.loaded.path}"
            raise RunError(f"the attempt of {name!r} cannot be run again", why, "add the host, or use --local")
        return Plan(attempt, host)
    here = [host for host in fleet.hosts if host.config.transport == "local"]
    # Where it ran first, then any other folder of that run on this machine.
    here.sort(key=lambda host: (host.name != attempt.host, not fleet.paths.host(attempt.run_id, host.name).is_dir()))
    if not here:
        why = "no host of fleet.yaml has `transport: local`, and so this machine has no build"
        raise RunError("the attempt cannot be run on this machine", why, f"leave out --local: {attempt.host} has it")
    return Plan(attempt, here[0])


def run_again(
    fleet: Fleet, plan: Plan, times: int, on_line: Callable[[str], None], on_result: Callable[[Reproduced], None]
) -> tuple[Reproduced, ...]:
    """Run the attempt again, `times` times one after the other; what it prints goes to `on_line` as it comes.

    Raises RunError where the run was cleaned up on the host, is still active there or is of another build, and
    HostError where the host cannot be used.
    """
    results: list[Reproduced] = []

    def take(answer: ReproAnswer) -> None:
        if isinstance(answer, Reproduced):
            results.append(answer)
            on_result(answer)

    _ask(fleet, plan, _request(plan.attempt, times), on_line, take)
    if len(results) != times:
        why = f"{len(results)} of {times} results came back"
        raise RunError("the attempt was not run as often as asked", why, "try again", host=plan.host.name)
    return tuple(results)


def print_line(fleet: Fleet, plan: Plan) -> str:
    """Return the shell line that runs the attempt by hand, from here. Raises as `run_again`."""
    found: list[Described] = []

    def take(answer: ReproAnswer) -> None:
        if isinstance(answer, Described):
            found.append(answer)

    _ask(fleet, plan, _request(plan.attempt, 1, describe=True), lambda _line: None, take)
    if not found:
        raise HostError("the host's answer makes no sense", "it does not say how", "try again", plan.host.name)
    ssh: tuple[str, ...] = ()
    if plan.host.config.transport == "ssh":
        config = ("-F", str(fleet.loaded.ssh_config)) if fleet.loaded.ssh_config else ()
        ssh = ("ssh", *config, plan.host.config.address or plan.host.name)
    return shell_line(found[0], ssh)


def passed(results: Sequence[Reproduced]) -> bool:
    """Whether nothing spoke against the test."""
    return all(result.outcome in (PASS, SKIP) for result in results)


def _find(fleet: Fleet, run_text: str, name: str, hosts: Sequence[str]) -> PastAttempt:
    run_id = resolve_run(fleet.paths, run_text) or run_text
    with Store.open(fleet.paths) as store:
        store.import_run(fleet.paths, run_id)
        if run_id not in store.run_ids():
            raise RunError(f"nothing of run {run_id} has been fetched", fix=f"`sltfleet fetch --run {run_id}`")
        found = find_attempt(store, run_id, name, hosts)
        if found is not None:
            return found
        where = f" on {', '.join(hosts)}" if hosts else ""
        hint = did_you_mean(name, names_of_run(store, run_id))
    raise RunError(
        f"run {run_id} has no attempt for {name!r}{where}",
        "it is neither a case that failed there nor a unit that was run to its end",
        hint or f"`sltfleet report {run_id}` lists the cases that failed (all of them: --format json)",
    )


def _request(attempt: PastAttempt, times: int, *, describe: bool = False) -> ReproRequest:
    return ReproRequest(
        attempt=attempt.attempt,
        unit=attempt.unit,
        worker=attempt.worker,
        pass_number=attempt.pass_number,
        seed=attempt.seed,
        remaining_s=attempt.remaining_s,
        build_digest=attempt.build_digest,
        mark=f"@sltfleet-repro-{secrets.token_hex(16)}@",
        times=times,
        describe=describe,
        timeout_s=attempt.timeout_s,
    )


def _ask(
    fleet: Fleet,
    plan: Plan,
    request: ReproRequest,
    on_line: Callable[[str], None],
    on_answer: Callable[[ReproAnswer], None],
) -> None:
    """Have the host do what the request says. Raises RunError and HostError where it does not come to an answer."""
    run_id = plan.attempt.run_id
    answers: list[ReproAnswer] = []

    def take(line: str) -> None:
        answer = read_repro(request.mark, line)
        if answer is None:
            on_line(line)
            return
        answers.append(answer)
        on_answer(answer)

    suite = fleet.loaded.config.suites.get(plan.attempt.suite)
    unit_s = suite.timeout.max + suite.kill_after if suite else UNKNOWN_TIMEOUT_S
    script = repro_script(plan.host.paths, run_id, runner_archive(), request)
    result = plan.host.transport.run(script, timeout_s=START_S + request.times * (unit_s + SPARE_S), on_line=take)
    refused = next((answer for answer in answers if isinstance(answer, NotReproduced)), None)
    error = None
    if refused is not None:
        error = not_reproduced(run_id, refused)
    elif result.exit_code != 0 or not answers:
        error = repro_failure(run_id, result.exit_code, result.stdout, result.stderr)
    if error is not None:
        error.host = plan.host.name
        raise error
