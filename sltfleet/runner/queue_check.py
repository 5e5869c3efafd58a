"""The command `queue-check`: can this host use the shared queue? The address comes on standard input, never in an argv.

It does what a run does: connects, logs in, and has the server run a script that writes a key (which goes away by
itself). What the client says of a failure names the server and never the password.
"""

from __future__ import annotations

import socket
import ssl
import statistics
import sys
import time
import uuid
from typing import TYPE_CHECKING, Tuple
from urllib.parse import unquote, urlsplit

from sltfleet.wire.queue_check import QueueAnswer, QueueReached, QueueRefused

if TYPE_CHECKING:
    import redis

#: For each step: a queue that takes longer is none to hand out units.
TIMEOUT_S = 3.0

ROUND_TRIPS = 5

_SCRIPT = """
redis.call('SET', KEYS[1], '1', 'PX', 1000)
redis.call('DEL', KEYS[1])
redis.call('TIME')
local server = redis.call('INFO', 'server')
return {string.match(server, 'run_id:(%w+)') or '', string.match(server, 'redis_version:([%w.]+)') or ''}
"""


def check_queue(url: str) -> QueueAnswer:
    """Return whether the queue at `url` can be used from here."""
    try:
        import redis
    except ImportError as error:  # a python3 that is too old, or lacks a module
        return QueueRefused("client", f"python3 {'.'.join(map(str, sys.version_info[:3]))}: {error}")
    try:
        client = _connect(redis.Redis, url)
        try:
            return _use(client)
        finally:
            client.close()
    except (redis.RedisError, OSError, ValueError) as error:
        return QueueRefused(problem_of(error), _without_secret(f"{error}", url)[:500])


def _connect(kind: "type[redis.Redis]", url: str) -> "redis.Redis":
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return kind.from_url(
        url,
        protocol=2,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def _use(client: "redis.Redis") -> QueueReached:
    key = f"sltfleet:check:{uuid.uuid4().hex}"
    server, version = client.eval(_SCRIPT, 1, key)
    times_s = []
    for _ in range(ROUND_TRIPS):
        started_s = time.perf_counter()
        client.ping()
        times_s.append(time.perf_counter() - started_s)
    return QueueReached(_text(server), _text(version), statistics.median(times_s))


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _without_secret(text: str, url: str) -> str:
    """Who is no Redis may send back what it was sent, and the client shows that."""
    secret = unquote(urlsplit(url).password or "")
    return text.replace(secret, "…") if secret else text


def problem_of(error: BaseException) -> str:
    """Return which of PROBLEMS an error of the client is."""
    import redis

    cause = _cause(error)
    if isinstance(error, redis.AuthenticationError):
        return "password"
    if isinstance(error, redis.exceptions.NoPermissionError):
        return "permission"
    if isinstance(error, redis.ReadOnlyError):
        return "read-only"
    if isinstance(cause, (ssl.SSLError, FileNotFoundError)):  # no such file: a certificate that is not on this host
        return "tls"
    if isinstance(cause, socket.gaierror):
        return "name"
    if isinstance(error, redis.TimeoutError) or isinstance(cause, (socket.timeout, TimeoutError)):
        return "timeout"
    if isinstance(cause, ConnectionRefusedError):
        return "refused"
    hung_up = isinstance(cause, (ConnectionResetError, BrokenPipeError)) or not isinstance(cause, OSError)
    if isinstance(error, (redis.InvalidResponse, redis.ConnectionError)) and hung_up:
        return "not-redis"
    return "other"


def _cause(error: BaseException) -> BaseException:
    """Return what the client's error was first of all."""
    seen: Tuple[BaseException, ...] = ()
    while error not in seen:
        seen += (error,)
        error = error.__cause__ or error.__context__ or error
    return error
