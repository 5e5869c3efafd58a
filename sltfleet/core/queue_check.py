"""Asking each host whether it can use the shared queue: the script, and what its answers mean for the fleet. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from sltfleet.core.errors import RunError
from sltfleet.core.findings import Finding, Level
from sltfleet.core.launching import FIND_PYTHON, NEEDS_QUEUE, PYTHON_FIX, no_answer
from sltfleet.core.shell import Script
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.queue_check import QueueAnswer, QueueReached, QueueRefused, queue_answer_from_output

#: A few time limits of the client, and the start of a python3 from a slow disk.
QUEUE_CHECK_TIMEOUT_S = 60.0

CHECK = "queue"

#: More than this per round trip, and short units wait for the queue.
SLOW_S = 0.02

#: In a temporary folder, since the host may not have a project's folder yet. The address goes through a pipe: it is
#: never in a file or in an argv.
_CHECK = (
    NEEDS_QUEUE
    + FIND_PYTHON
    + """\
folder=$(mktemp -d) || exit 73
trap 'rm -rf -- "$folder"' EXIT
put_archive "$folder/runner.pyz" || exit 73
[ "$(sha256sum <"$folder/runner.pyz")" = "$1  -" ] || { echo "the disk is full, or broken" >&2; exit 73; }
put_url /dev/stdout | "$python" -E -S "$folder/runner.pyz" queue-check
"""
)


def queue_check_script(archive: tuple[str, bytes], url: str) -> Script:
    """Return the script that asks a host; `archive` is the (SHA-256, content) of the zipapp with the client."""
    digest, data = archive
    return Script(_CHECK, (digest,), (("archive", data), ("url", url.encode())))


def read_queue_check(exit_code: int, stdout: str, stderr: str) -> QueueAnswer:
    """Return the host's answer. Raises RunError and HostError where it gave none."""
    try:
        answer = queue_answer_from_output(stdout)
    except DecodeError as error:
        raise RunError(
            "cannot check the queue", f"its answer is damaged: {error}", "run `sltfleet doctor` again"
        ) from error
    if answer is None:
        raise no_answer(exit_code, stdout, stderr, "check the queue")
    return answer


def judge_queue(place: str, answers: Mapping[str, QueueAnswer], *, loopback: bool) -> dict[str, Finding]:
    """Return what is to be said of each host's answer, by host: they must all have reached the same server.

    `place` is the address without its secret; `loopback` whether it means the very machine that reads it.
    """
    servers = {host: answer.server for host, answer in answers.items() if isinstance(answer, QueueReached)}
    first = next((host for host, server in servers.items() if server), "")
    found: dict[str, Finding] = {}
    for host, answer in answers.items():
        if isinstance(answer, QueueRefused):
            found[host] = _refused(place, answer)
        elif answer.server and answer.server != servers[first]:
            text = f"{place} is another server for this host than it is for {first}"
            found[host] = Finding(Level.ERROR, CHECK, text, _same_server(loopback))
        elif answer.round_trip_s > SLOW_S:
            text = f"{place}: a round trip takes {milliseconds(answer.round_trip_s)}"
            fix = "units of less than a second will wait for it: choose a server that is nearer"
            found[host] = Finding(Level.NOTE, CHECK, text, fix)
        else:
            text = f"{place}, version {answer.version}, round trip {milliseconds(answer.round_trip_s)}"
            found[host] = Finding(Level.OK, CHECK, text)
    return found


def servers_differ(answers: Mapping[str, QueueAnswer]) -> bool:
    """Whether two hosts reach different servers: each of them would count units by itself."""
    return len({answer.server for answer in answers.values() if isinstance(answer, QueueReached)} - {""}) > 1


def milliseconds(seconds: float) -> str:
    """Return a round trip's time for people."""
    return f"{1000 * seconds:.2g} ms" if seconds < 0.1 else f"{1000 * seconds:.0f} ms"


def _same_server(loopback: bool) -> str:
    if loopback:
        return "name the queue by a name or an address that is the same machine from every host"
    return "look at what its name means on each host: `getent hosts NAME` there"


def _refused(place: str, answer: QueueRefused) -> Finding:
    tls = place.startswith("rediss:")
    texts = {
        "name": (f"the host of {place} is not known here", "write its address, or add its name to the DNS"),
        "refused": (
            f"{place}: connection refused",
            "start Redis or Valkey there, and have it listen (`bind`, `port`) where the hosts reach it",
        ),
        "timeout": (f"{place} does not answer", "look at firewalls between this host and it, and at its load"),
        "tls": (
            f"{place}: no secure connection: {answer.message}",
            "its certificate must be valid for this name here: `?ssl_ca_certs=FILE` names the CA, a file on each host",
        ),
        "password": (
            f"{place} does not let this host in: {answer.message}",
            "check user and password in SLTFLEET_QUEUE or `queue:`; special characters are written as %XX",
        ),
        "permission": (
            f"{place}: the user may not do what a queue needs: {answer.message}",
            "allow it there: ACL SETUSER NAME ~sltfleet:* +@all -@dangerous +info",
        ),
        "not-redis": (
            f"who answers at {place} is no Redis or Valkey: {answer.message}",
            "check host and port" + ("" if tls else "; a server with TLS only wants rediss://"),
        ),
        "read-only": (f"{place} is a replica, which cannot be written", "name the primary"),
        "client": (f"the queue's client does not work there: {answer.message}", PYTHON_FIX),
    }
    text, fix = texts.get(answer.problem, (f"{place} cannot be used: {answer.message}", "see its log"))
    if answer.problem == "timeout" and tls:
        fix += "; a server without TLS wants redis://"
    return Finding(Level.ERROR, CHECK, text, fix)
