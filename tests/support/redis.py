"""A real redis-server on 127.0.0.1 for one test: a port of its own, a password, nothing on the disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import pytest
import redis as client

from tests.support.waiting import PATIENCE_S

#: With characters that a URL must escape: a secret must not show in either form.
PASSWORD = "s3cret/pä ss@word"


def server_program() -> str:
    """The path of redis-server (or Valkey's); skips the test where there is none."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        pytest.skip("there is no redis-server: apt-get install redis-server")
    return found


class RedisProcess:
    """The server, ended with the block. It can be ended and started anew on the same port, and knows nothing then.

    `options` are lines of redis.conf. With `tls` it speaks nothing else, and its address names the CA.
    """

    def __init__(
        self, folder: Path, *, password: str = PASSWORD, tls: bool = False, options: tuple[str, ...] = ()
    ) -> None:
        self._folder, self._tls, self._options = folder, tls, options
        self.password = password
        # Bound and not listening: the server may listen there, and nobody else gets the port, also while it is down.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if tls:
            make_certificates(folder)

    @property
    def url(self) -> str:
        password = quote(self.password, safe="")
        if self._tls:
            return f"rediss://:{password}@127.0.0.1:{self.port}/0?ssl_ca_certs={quote(str(self._folder / 'ca.pem'))}"
        return f"redis://:{password}@127.0.0.1:{self.port}/0"

    def start(self) -> RedisProcess:
        """Start it and wait until it answers. Skips the test where there is no redis-server."""
        ports = [f"port {self.port}"]
        if self._tls:
            ports = ["port 0", f"tls-port {self.port}", "tls-auth-clients no"]
            files = {"cert": "server.pem", "key": "server.key", "ca-cert": "ca.pem"}
            ports += [f'tls-{kind}-file "{self._folder / name}"' for kind, name in files.items()]
        lines = ["bind 127.0.0.1", 'save ""', "appendonly no", f'requirepass "{self.password}"', *ports, *self._options]
        self._process = subprocess.Popen(
            [server_program(), "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        # By standard input: its own argv must not have the password either, tests look for it everywhere.
        with self._process.stdin as settings:
            settings.write("".join(f"{line}\n" for line in lines).encode())
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(client.RedisError), self.client() as one:
                one.ping()
                return self
            assert self._process.poll() is None, "redis-server ended at once"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.02)

    def __enter__(self) -> RedisProcess:
        try:
            return self.start()
        except BaseException:
            self.end()
            self._holder.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._holder.close()

    def client(self) -> client.Redis:
        return client.Redis.from_url(self.url, socket_timeout=PATIENCE_S, socket_connect_timeout=1.0)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def end(self) -> None:
        """SIGKILL, also where it was stopped; it may be started again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def make_certificates(folder: Path) -> None:
    """A CA of our own, and a certificate for 127.0.0.1 that it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test CA")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=queue")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    sign = ("-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    openssl("x509", *sign, "-extfile", "san", "-out", "server.pem")
