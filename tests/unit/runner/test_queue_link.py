"""The thread that talks to the queue, with a server that does what the test says."""

from __future__ import annotations

import json
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.runner.queue_link import RETRY_MAX_S, RETRY_S, WAKE_SIGNAL, NoAnswerError, QueueLink, pause_s
from sltfleet.runner.queue_messages import (
    Answer,
    Exchange,
    MalformedAnswerError,
    Membership,
    NewPass,
    Unreachable,
    answer_from_text,
    request_text,
    units_of_bitmap,
)
from sltfleet.runner.queue_redis import RedisServer, masked, reason_of, secrets_of
from tests.support.impostor import impostor
from tests.support.queue_model import QueueModel, _bits
from tests.support.waiting import PATIENCE_S

MEMBERSHIP = Membership("run", "h", "t", 4, "d", 15.0, 60.0)


class Flaky:
    """Fails as often as it is told to, and then answers as the model does."""

    def __init__(self, *reasons: str) -> None:
        self._reasons = list(reasons)
        self._model = QueueModel()
        self.requests: list[str] = []

    def call(self, request: str, /) -> bytes:
        self.requests.append(request)
        if self._reasons:
            raise NoAnswerError(self._reasons.pop(0))
        return self._model.call(request)


@pytest.fixture(autouse=True)
def _blocked() -> None:
    """As in the runner: the signal is waited for, and would end a process that does not block it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [WAKE_SIGNAL])


def test_an_exchange_is_repeated_until_it_is_answered_and_each_reason_is_told_once() -> None:
    server = Flaky("refused", "refused", "no route")
    link = QueueLink(MEMBERSHIP, server)
    link.start()
    link.send(Exchange(1, fresh=True, settle=((1, 2),)))
    told = [link.wait(PATIENCE_S) for _ in range(3)]
    assert told[:2] == [Unreachable("refused"), Unreachable("no route")]
    assert isinstance(told[2], Answer)
    asked = [json.loads(request) for request in server.requests]
    # Whoever could not be reached cannot know what the others have done meanwhile.
    assert [one.pop("fresh") for one in asked] == [True, False, False, False]
    assert asked[0] == asked[3]


def test_the_main_thread_is_woken_when_there_is_something_to_receive() -> None:
    assert threading.current_thread() is threading.main_thread()
    while signal.sigtimedwait([WAKE_SIGNAL], 0) is not None:
        pass  # of other tests
    link = QueueLink(MEMBERSHIP, Flaky())
    link.start()
    assert link.receive() == []
    link.send(Exchange(1))
    assert signal.sigtimedwait([WAKE_SIGNAL], PATIENCE_S) is not None
    assert [type(told) for told in link.receive()] == [Answer]
    assert link.wait(0.0) is None


@given(st.integers(1, 1000), st.floats(0, 1))
def test_pauses_grow_up_to_a_bound_and_differ_by_chance(failures: int, chance: float) -> None:
    assert RETRY_S / 2 <= pause_s(failures, chance) <= RETRY_MAX_S
    assert pause_s(failures, 0.0) == pause_s(failures, 1.0) / 2 <= pause_s(failures + 1, 0.0)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"{}", b'{"number": "x"}', b'{"number": Infinity}', b"\xff", b"[" * 100_000],
)
def test_an_answer_of_another_shape_is_an_error(text: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        answer_from_text(text, 4)


@pytest.mark.parametrize("claim", [[1, 4], [1, -5], [0, 1], [-1, 0]])
def test_a_claim_that_this_run_does_not_have_is_an_error(claim: list[int]) -> None:
    raw = json.loads(QueueModel().call(request_text(MEMBERSHIP, Exchange(1, fresh=True))))
    with pytest.raises(MalformedAnswerError, match="does not have"):
        answer_from_text(json.dumps({**raw, "claims": [claim]}).encode(), 4)


def test_hosts_with_other_units_are_told_so() -> None:
    model = QueueModel()
    model.call(request_text(MEMBERSHIP, Exchange(1, fresh=True, opens=NewPass(1, (0, 1), True))))
    other = Membership("run", "g", "t", 4, "other", 15.0, 60.0)
    with pytest.raises(MalformedAnswerError, match="not those of this host"):
        answer_from_text(model.call(request_text(other, Exchange(1))), 4)


@given(st.sets(st.integers(0, 100)))
def test_a_bitmap_names_its_units(units: set[int]) -> None:
    assert units_of_bitmap(bytes.fromhex(_bits(units))) == units


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret%2Fword@10.0.0.1:6379/0",
        "rediss://fleet:s3cret%2Fword@queue.example/1?ssl_keyfile=/s3cret/word",
        "redis://s3cret/word@nonsense:port",
        "s3cret/word",
    ],
)
def test_no_form_of_the_secret_is_left_in_a_text(url: str) -> None:
    for text in (f"cannot use {url}", "AUTH s3cret/word", "AUTH s3cret%2Fword:", f"a\nb {url!r} c"):
        shown = masked(text, secrets_of(url))
        assert "s3cret" not in shown or "@" not in url
        assert "\n" not in shown
    assert len(masked("x" * 10_000, [])) <= 200


def test_a_reason_is_what_the_kernel_said_and_not_where() -> None:
    error = OSError("Error 111 connecting to 127.0.0.1:7412. Connection refused.")
    assert reason_of(error, secrets_of("redis://:s3cr3t@127.0.0.1:7412")) == "Connection refused."
    assert reason_of(OSError("Timeout reading from socket"), []) == "Timeout reading from socket"
    assert reason_of(OSError(), []) == "OSError"


def test_an_address_that_cannot_be_used_is_told_at_each_call_without_it() -> None:
    server = RedisServer("s3cret://user:word@host", "key", 15.0)
    with pytest.raises(NoAnswerError) as error:
        server.call("{}")
    assert str(error.value) == "the queue's address cannot be used"


@pytest.mark.parametrize("reply", [b":many\r\n", b"$x\r\n", b"*1\r\n" * 5000])
def test_a_server_that_is_no_redis_is_no_answer_whatever_it_sends(reply: bytes) -> None:
    with impostor(reply) as port:
        server = RedisServer(f"redis://127.0.0.1:{port}", "key", PATIENCE_S)
        with pytest.raises(NoAnswerError):
            server.call("{}")
