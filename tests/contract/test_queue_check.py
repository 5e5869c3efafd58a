"""The queue check through the real zipapp and a real `sh`, with a real Redis and with servers that are none."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.app.archive import runner_archive
from sltfleet.core.queue_check import queue_check_script, read_queue_check
from sltfleet.transport.local import LocalTransport
from sltfleet.wire.queue_check import QueueAnswer, QueueReached, QueueRefused
from tests.support.impostor import impostor
from tests.support.redis import RedisProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis"), password="s3cr3t/@pw") as running:
        yield running


def ask(url: str) -> QueueAnswer:
    """What a host answers; nothing of it, nor of what runs meanwhile, may have the secret."""
    archive = runner_archive(queue=True)
    transport = LocalTransport("here")
    try:
        result = transport.run(queue_check_script((archive.sha256, archive.data), url), timeout_s=60)
    finally:
        transport.close()
    assert "s3cr3t" not in result.stdout + result.stderr
    return read_queue_check(result.exit_code, result.stdout, result.stderr)


def test_a_queue_that_can_be_used_says_who_it_is_and_how_far_away(server: RedisProcess) -> None:
    first, second = ask(server.url), ask(server.url)
    assert isinstance(first, QueueReached)
    assert isinstance(second, QueueReached)
    assert first.server == second.server != ""
    assert first.version.count(".") == 2
    assert 0 < first.round_trip_s < 5


def test_a_wrong_password_is_not_called_anything_else(server: RedisProcess) -> None:
    for url in (server.url.replace("s3cr3t", "other"), f"redis://127.0.0.1:{server.port}"):
        answer = ask(url)
        assert isinstance(answer, QueueRefused)
        assert answer.problem == "password"


def test_a_user_who_may_not_run_scripts_is_told_apart(server: RedisProcess) -> None:
    setting = "ACL SETUSER guest on >pw +ping +auth ~*"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"AUTH {server.password}\r\n{setting}\r\nQUIT\r\n".encode())
        while connection.recv(4096):
            pass
    answer = ask(f"redis://guest:pw@127.0.0.1:{server.port}")
    assert isinstance(answer, QueueRefused)
    assert answer.problem == "permission"


@pytest.mark.parametrize(
    ("reply", "scheme", "problem"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "redis", "not-redis"),
        (b"", "redis", "not-redis"),
        (None, "redis", "timeout"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "rediss", "tls"),
    ],
)
def test_who_is_no_redis_is_found_out(reply: bytes | None, scheme: str, problem: str) -> None:
    with impostor(reply) as port:
        answer = ask(f"{scheme}://:s3cr3t@127.0.0.1:{port}")
    assert isinstance(answer, QueueRefused)
    assert answer.problem == problem, answer.message


def test_nobody_there_and_no_such_host_are_two_things() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else takes it
        answers = [ask(f"redis://:s3cr3t@{place}") for place in (f"127.0.0.1:{listener.getsockname()[1]}", "x.invalid")]
    assert [answer.problem for answer in answers if isinstance(answer, QueueRefused)] == ["refused", "name"]


def test_the_address_is_in_no_argv_while_a_host_is_asked(tmp_path: Path) -> None:
    with impostor(None) as port:  # it never answers: there is time to look
        seen: list[bytes] = []
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.05):
                for path in Path("/proc").glob("[0-9]*/cmdline"):
                    with contextlib.suppress(OSError):
                        seen.append(path.read_bytes())

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            answer = ask(f"redis://:s3cr3t@127.0.0.1:{port}")
        finally:
            done.set()
            watcher.join()
    assert isinstance(answer, QueueRefused)
    assert any(b"queue-check" in line for line in seen)
    assert not any(b"s3cr3t" in line for line in seen)


def test_an_old_python_is_an_answer_too(tmp_path: Path) -> None:
    """Whoever calls the runner by hand: the client cannot even be imported without it in the archive."""
    archive = tmp_path / "plain.pyz"
    archive.write_bytes(runner_archive().data)
    done = subprocess.run(
        ["python3", "-E", "-S", str(archive), "queue-check"],
        input=b"redis://:s3cr3t@127.0.0.1:1",
        capture_output=True,
        check=False,
    )
    answer = read_queue_check(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert isinstance(answer, QueueRefused)
    assert answer.problem == "client"


def test_tls_is_believed_only_with_a_certificate_of_a_known_authority(tmp_path: Path) -> None:
    with RedisProcess(tmp_path, tls=True) as server:
        url = server.url.split("?")[0]
        assert isinstance(ask(server.url), QueueReached)
        answers = [
            ask(url),  # signed by nobody that the host knows
            ask(server.url.replace("127.0.0.1", "localhost")),  # for another name
            ask(f"{url}?ssl_ca_certs={tmp_path / 'nothing'}"),
            ask(url.replace("rediss", "redis")),
        ]
    problems = [answer.problem for answer in answers if isinstance(answer, QueueRefused)]
    assert problems == ["tls", "tls", "tls", "not-redis"]
