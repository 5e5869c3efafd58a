from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.config.queue_url import QueueUrlError, masked, read_queue_url

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "place", "has_password", "is_loopback"),
    [
        ("redis://queue", "redis://queue:6379/0", False, False),
        (f"redis://:{SECRET}@queue.example:7000/2", "redis://queue.example:7000/2", True, False),
        (f"rediss://me:{SECRET}%40%2F@[::1]/", "rediss://[::1]:6379/0", True, True),
        ("redis://me@127.0.0.1", "redis://127.0.0.1:6379/0", False, True),
        ("redis://LOCALHOST", "redis://localhost:6379/0", False, True),
        (f"rediss://:{SECRET}@q?ssl_ca_certs=/ca.pem&ssl_cert_reqs=none", "rediss://q:6379/0", True, False),
    ],
)
def test_an_address_is_shown_without_its_secret(text: str, place: str, has_password: bool, is_loopback: bool) -> None:
    url = read_queue_url(text)
    assert (str(url), url.text, url.has_password, url.is_loopback) == (place, text, has_password, is_loopback)
    assert SECRET not in repr(url)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "no address", "redis://"),
        ("queue:6379", "no address", "redis://"),
        (f"me:{SECRET}@queue", "no address", "redis://"),
        (f"http://:{SECRET}@queue", "'http'", "did you mean redis://?"),
        (f"valkeys://:{SECRET}@queue", "'valkeys'", "did you mean rediss://?"),
        (f"{SECRET}@x://queue", "scheme", "redis://"),
        (f"redis://:{SECRET}@", "names no host", "%40"),
        (f"redis://:{SECRET}/x@queue", "host and port", "%2F"),
        (f"redis://:1{SECRET}?x@queue", "host and port", "%3F"),
        (f"redis://me:1234?{SECRET}=@queue", "cannot be read", "%3F"),
        (f"redis://:{SECRET}#x@queue", "", "%23"),
        ("redis://queue:70000", "host and port", "redis://"),
        ("redis://queue:0", "port 0", "6379"),
        ("redis://queue/first", "number of a database", "/0"),
        (f"redis://queue?password={SECRET}", "`password` behind the `?`", "PASSWORD@"),
        ("rediss://queue?ssl_ca_cert=/x", "unknown option 'ssl_ca_cert'", "did you mean 'ssl_ca_certs'?"),
        ("rediss://queue?socket_timeout=5", "unknown option 'socket_timeout'", "known options: ssl_ca_certs"),
        ("redis://queue?ssl_ca_certs=/x", "needs TLS", "rediss://"),
        ("rediss://queue?ssl_cert_reqs=no", "without a value", "required or optional or none"),
        (f"redis://:{SECRET}@queue ", "space", "%20"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_without_its_secret(text: str, message: str, hint: str) -> None:
    with pytest.raises(QueueUrlError) as caught:
        read_queue_url(text)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert SECRET not in caught.value.message + caught.value.hint


@given(st.text(alphabet="/?#@:%&=.[]ab1é ", max_size=12), st.sampled_from(["redis", "rediss", "http", ""]))
def test_no_message_repeats_a_password_whatever_is_around_it(noise: str, scheme: str) -> None:
    try:
        told = repr(read_queue_url(f"{scheme}://:{noise}{SECRET}{noise}@queue"))
    except QueueUrlError as error:
        told = error.message + error.hint
    assert SECRET not in told


def test_a_text_that_may_be_an_address_is_masked_to_its_last_at_sign() -> None:
    assert masked(f"redis://me:{SECRET}@{SECRET}@queue") == "redis://…@queue"
    assert masked("no address") == "no address"
