"""The shared queue's server, Redis or Valkey: the only module that knows the client.

The client, redis-py, needs Python 3.10; it is in the runner's archive, and imported only where a queue is configured.
No error's text leaves this module with a part of the address that may be a secret.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, List, Optional
from urllib.parse import unquote, urlsplit

from sltfleet.runner.queue_link import NoAnswerError
from sltfleet.runner.queue_script import SCRIPT

if TYPE_CHECKING:
    import redis

#: The network may take so long for one step of an exchange, and this part of the lease at most.
TIMEOUT_S = 2.0
LEASE_PART = 0.2

_SHA = hashlib.sha1(SCRIPT.encode("ascii")).hexdigest()  # by which the server knows the script: no secret
_MASK = "***"
_MAX_REASON_CHARS = 200
#: How redis-py begins to say that there is no connection; what follows is the kernel's word.
_CONNECTING = re.compile(r"^Error -?[0-9]+ (while )?connecting to \S+?\. ")


class RedisServer:
    """Runs the queue's script on the server that `url` names."""

    def __init__(self, url: str, key: str, lease_s: float) -> None:
        """`key` is the queue's own. Nothing is connected yet, but everything is imported."""
        self._key = key
        self._secrets = secrets_of(url)
        self._problem = ""
        self._errors: Any = ()
        self._client: Optional[redis.Redis] = None
        timeout_s = min(TIMEOUT_S, LEASE_PART * lease_s)
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            self._no_script = redis.exceptions.NoScriptError
            # The client reads numbers as they come: who is no Redis may send what is none.
            self._errors = (redis.RedisError, OSError, ValueError, RecursionError)
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),  # the link repeats what failed, in its own time
                protocol=2,
            )
        except ImportError as error:
            self._problem = f"the client redis-py cannot be loaded, it needs python3 3.10 or newer: {error}"
            if error.name == "redis":
                self._problem = "the client was not sent along: no queue was configured when the run was resumed"
        except (ValueError, TypeError):  # its text may hold a part of the address
            self._problem = "the queue's address cannot be used"

    def call(self, request: str, /) -> bytes:
        """Run the script, and return its answer. Raises NoAnswerError."""
        if self._client is None:
            raise NoAnswerError(self._problem)
        try:
            try:
                answer = self._client.evalsha(_SHA, 1, self._key, request)
            except self._no_script:
                answer = self._client.eval(SCRIPT, 1, self._key, request)
        except self._errors as error:
            raise NoAnswerError(reason_of(error, self._secrets)) from None
        if not isinstance(answer, bytes):
            raise NoAnswerError("the server's answer to the queue's script is no text")
        return answer


def secrets_of(url: str) -> List[str]:
    """Return the parts of an address that nobody may see, the longest first."""
    try:
        parts = urlsplit(url)
        found = {url, parts.netloc, *(part for part in (parts.password, parts.query) if part)}
    except ValueError:
        found = {url}
    return sorted({*found, *map(unquote, found)} - {""}, key=len, reverse=True)


def reason_of(error: Exception, secrets: List[str]) -> str:
    """Return why the server did not answer: without redis-py's errno and address, which are secret or known."""
    return _CONNECTING.sub("", masked(str(error) or type(error).__name__, secrets))


def masked(text: str, secrets: List[str]) -> str:
    """Return a text of one line, of a bounded length, and without any of the secrets."""
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return " ".join(text.split())[:_MAX_REASON_CHARS]
