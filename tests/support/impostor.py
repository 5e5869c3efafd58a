"""A server that is no Redis, for whoever takes it for one."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def impostor(reply: bytes | None) -> Iterator[int]:
    """A server that answers anything with `reply` (None: never; b"": hangs up), and its port."""
    with socket.socket() as listener, contextlib.ExitStack() as connections:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connections.enter_context(connection)
                    if reply is not None:
                        connection.recv(4096)
                        connection.sendall(reply)
                        connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
