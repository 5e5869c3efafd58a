"""The address of a shared queue, `redis://…` or `rediss://…`, and what is wrong with one that cannot be used.

The text holds a secret. It goes to the hosts as it is; people are shown `place`, which is made of the parts that are
none. No message about a bad address repeats any part of it that may be a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from sltfleet.core.nearest import did_you_mean, nearest

#: Names a queue before fleet.yaml does; "" for none.
QUEUE_VARIABLE = "SLTFLEET_QUEUE"

PLAIN, TLS = "redis", "rediss"
DEFAULT_PORT = 6379

#: How an address is written, for hints. What looks like a password in a URL would be hidden.
SHAPE = "write redis://HOST[:PORT][/DATABASE], with USER:PASSWORD@ before HOST where it wants one; rediss:// for TLS"
ESCAPES = "write special characters of the password as in any URL: / as %2F, @ as %40, # as %23, ? as %3F, % as %25"

#: What may follow a `?`, with the values where they are few (() means any); all of it is about TLS. redis-py has more,
#: but time limits and retries are the runner's own.
OPTIONS = {
    "ssl_ca_certs": (),
    "ssl_certfile": (),
    "ssl_keyfile": (),
    "ssl_cert_reqs": ("required", "optional", "none"),
    "ssl_check_hostname": ("true", "false"),
}

#: An address that means another machine on each host.
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]+){3}|::1", re.IGNORECASE)


class QueueUrlError(ValueError):
    """An address cannot be used: `message` in plain words and without its secret, `hint` says what to write instead."""

    def __init__(self, message: str, hint: str = SHAPE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class QueueUrl:
    """The address of a queue. Neither `str` nor `repr` of it shows the secret."""

    text: str = field(repr=False)
    #: The address without user, password and options.
    place: str
    host: str
    has_password: bool

    def __str__(self) -> str:
        return self.place

    @property
    def is_loopback(self) -> bool:
        """Whether it names the very machine that reads it."""
        return _LOOPBACK.fullmatch(self.host) is not None


def read_queue_url(text: str) -> QueueUrl:
    """Return the address that `text` is. Raises QueueUrlError."""
    if re.search(r"[\x00-\x20\x7f]", text):
        raise QueueUrlError("has a space or a control character", "write it as %20, %0A, …, and without any around it")
    scheme, colon, rest = text.partition("://")
    if not colon or not rest:
        raise QueueUrlError("is no address of a queue")
    if scheme not in (PLAIN, TLS):
        raise QueueUrlError(*_other_scheme(scheme))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        # urllib repeats what it cannot read as a port: of `redis://:pass/word@host` that is the password.
        raise QueueUrlError("has a host and port that cannot be read", ESCAPES if "@" in text else SHAPE) from None
    if "#" in text or "@" in parts.path + parts.query:
        raise QueueUrlError("has a `/`, `?` or `#` where it cannot be read", ESCAPES)
    if not host:
        raise QueueUrlError("names no host", ESCAPES if "@" in text else SHAPE)
    if port == 0:
        raise QueueUrlError("has port 0, which is none", f"leave it out for {DEFAULT_PORT}")
    database = parts.path.removeprefix("/")
    if database and not re.fullmatch(r"[0-9]{1,6}", database):
        raise QueueUrlError("has a path that is no number of a database", "write a number, /0 for instance, or nothing")
    _check_options(scheme, parts.query)
    shown = f"[{host}]" if ":" in host else host
    return QueueUrl(
        text=text,
        place=f"{scheme}://{shown}:{port or DEFAULT_PORT}/{database or 0}",
        host=host,
        has_password=bool(unquote(parts.password or "")),
    )


def masked(text: str) -> str:
    """Return `text` without what stands between `://` and the last `@`: for a value that may be an address."""
    return re.sub(r"://.*@", "://…@", text, flags=re.DOTALL)


def _other_scheme(scheme: str) -> tuple[str, str]:
    # Short words only: where the scheme was forgotten, this may be anything.
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,15}", scheme):
        return "has a scheme that is neither redis:// nor rediss://", SHAPE
    meant = {"valkey": PLAIN, "valkeys": TLS, "https": TLS, "http": PLAIN}.get(scheme.lower())
    meant = meant or nearest(scheme, (PLAIN, TLS))
    return (
        f"has the scheme {scheme!r}, and neither 'redis' nor 'rediss'",
        f"did you mean {meant}://?" if meant else SHAPE,
    )


def _check_options(scheme: str, query: str) -> None:
    for option in filter(None, query.split("&")):
        name, equals, value = option.partition("=")
        if name in ("username", "password", "db"):
            raise QueueUrlError(f"has `{name}` behind the `?`, where it does not go")
        if name not in OPTIONS:
            known = "known options: " + ", ".join(OPTIONS)
            # What is not a word was never meant as an option: a password with a `?` in it.
            told = f"has the unknown option {name!r}" if re.fullmatch(r"[a-z_]{1,40}", name) else "has a strange option"
            raise QueueUrlError(told, did_you_mean(name, OPTIONS) or known)
        if scheme != TLS:
            raise QueueUrlError(f"has `{name}`, which needs TLS", "write rediss:// for redis://")
        values = OPTIONS[name]
        if not equals or not value or (values and unquote(value) not in values):
            raise QueueUrlError(
                f"has `{name}` without a value that it may have", "write " + (" or ".join(values) or "a path")
            )
