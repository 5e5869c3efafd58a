"""A real Redis of the test's own, on a free port of the loopback network, ended with the block."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest

#: Nothing here takes longer than this, on however slow a machine.
PATIENCE_S = 20.0


class RedisServer:
    """A redis-server with a password; it can be killed and started anew on the same port, and then knows nothing."""

    def __init__(self, folder: Path, password: str = "s3cr3t/@pw", certificate: Path | None = None) -> None:
        """`certificate`: with it the server speaks TLS only; its key stands in the same file."""
        self.folder = folder
        self.password = password
        self.certificate = certificate
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, the password escaped."""
        scheme = "rediss" if self.certificate else "redis"
        return f"{scheme}://:{self.password.replace('/', '%2F').replace('@', '%40')}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers. Skips the test where there is no redis-server."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("there is no redis-server here (Debian: apt-get install redis-server)")
        self.folder.mkdir(parents=True, exist_ok=True)
        # By standard input: its own argv must not have the password either, tests look for it everywhere.
        settings = f'bind 127.0.0.1\nsave ""\nappendonly no\nrequirepass "{self.password}"\n'
        if self.certificate is None:
            settings += f"port {self.port}\n"
        else:
            settings += f"port 0\ntls-port {self.port}\ntls-auth-clients no\n"
            settings += "".join(f'tls-{kind}-file "{self.certificate}"\n' for kind in ("cert", "key", "ca-cert"))
        self.process = subprocess.Popen(
            [program, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=self.folder, start_new_session=True
        )
        assert self.process.stdin is not None
        self.process.stdin.write(settings.encode())
        self.process.stdin.close()
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server does not answer"
            assert self.process.poll() is None, "redis-server has ended"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as plain:
                if self.certificate is None:
                    return _wants_a_password(plain)
                context = ssl.create_default_context(cafile=str(self.certificate))
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                    return _wants_a_password(secure)
        except OSError:
            return False

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def _wants_a_password(connection: socket.socket) -> bool:
    connection.sendall(b"PING\r\n")
    return connection.recv(100).startswith(b"-NOAUTH")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
