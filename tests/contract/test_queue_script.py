"""The queue's script on a real server does what the model of it in memory does, whatever hosts ask."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sltfleet.runner import queue_redis
from sltfleet.runner.queue_messages import Membership, answer_from_text
from sltfleet.runner.queue_redis import RedisServer
from tests.support.queue_model import QueueModel
from tests.support.redis import RedisProcess
from tests.support.waiting import PATIENCE_S

UNITS = 12
RUNS = count()
LONG_MS = 10_000_000

PLACES = st.lists(st.tuples(st.integers(1, 3), st.integers(0, UNITS - 1)), max_size=6)
ENTRIES = st.lists(st.integers(-3, UNITS - 1), min_size=1, max_size=14).filter(lambda one: max(one) >= 0)
REQUESTS = st.fixed_dictionaries(
    {
        "member": st.sampled_from(["a/1", "b/2", "c d/3"]),
        # A negative lease is over at once: others take the claims back with their next exchange.
        "lease_ms": st.sampled_from([LONG_MS, LONG_MS, -1]),
        "repeats": st.integers(0, 9).map(lambda one: one == 0),
        "knows": st.integers(0, 9).map(lambda one: one > 0),
        "newest": st.integers(0, 4),
        "seen": st.integers(0, 2),
        "want": st.integers(0, 6),
        "low": st.integers(0, 20),
        "settle": PLACES,
        "back": PLACES,
        "opens": st.none() | st.tuples(st.integers(1, 4), ENTRIES, st.booleans()),
        "tell": st.booleans(),
        "bye": st.integers(0, 9).map(lambda one: one == 0),
        "fresh": st.just(True),
        "limit": st.sampled_from([0, 2]),
    }
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as one:
        yield one


def real_server(url: str, key: str) -> RedisServer:
    """The real one, which is given all the time that it needs to answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue_redis, "TIMEOUT_S", PATIENCE_S)
        return RedisServer(url, key, 10 * PATIENCE_S)


def key_of_new_run() -> str:
    return Membership(f"run-{next(RUNS)}", "", "", UNITS, "", 1.0, 60.0).key


@given(st.lists(REQUESTS, min_size=1, max_size=25))
@settings(max_examples=120)
def test_the_script_and_the_model_of_it_give_the_same_answers(server: RedisProcess, requests: list[dict]) -> None:  # type: ignore[type-arg]
    key, model, numbers, epoch = key_of_new_run(), QueueModel(), {}, ""  # type: ignore[var-annotated]
    real = real_server(server.url, key)
    began_s = time.monotonic()
    for ask in requests:
        member, opens = ask["member"], ask.pop("opens")
        numbers[member] = numbers.get(member, 0) + (0 if ask.pop("repeats") else 1)
        # A request of the same number has the same epoch; other differences must not matter.
        ask |= {"epoch": epoch if ask.pop("knows") else "", "number": numbers[member], "digest": "d", "keep_s": 60}
        ask |= {"anew": f"{member}-{numbers[member]}"}
        if opens is not None:
            unique = list(dict.fromkeys(opens[1]))
            ask["opens"] = {"number": opens[0], "entries": unique, "whole": opens[2]}
        model.now_ms += 1
        text = json.dumps(ask)
        answer, expected = (answer_from_text(one.call(text), UNITS) for one in (real, model))
        # The server's own clock goes on meanwhile, by more than the model's: after two seconds another may open a pass.
        assume(answer == expected or time.monotonic() - began_s < 1.5)
        assert answer == expected
        epoch = answer.epoch
    keys = server.client().keys(f"{key}*")
    assert all(0 < server.client().ttl(name) <= 60 for name in keys), keys


def test_what_was_lost_on_its_way_is_answered_again_and_done_once(server: RedisProcess) -> None:
    real = real_server(server.url, key_of_new_run())
    base = {"member": "a/1", "lease_ms": LONG_MS, "digest": "d", "keep_s": 60, "anew": "e", "epoch": "", "limit": 0}
    base |= {"fresh": True, "newest": 0, "seen": 0, "low": 0, "settle": [], "back": [], "tell": False, "bye": False}
    first = json.dumps({**base, "number": 1, "want": 1, "opens": {"number": 1, "entries": [3, 1], "whole": True}})
    assert real.call(first) == real.call(first)
    assert answer_from_text(real.call(first), UNITS).claims == ((1, 3),)
    second = json.dumps({**base, "number": 2, "epoch": "e", "want": 2, "settle": [[1, 3]]})
    answers = [answer_from_text(real.call(second), UNITS) for _ in range(2)]
    assert [(one.counted, one.claims) for one in answers] == [((True,), ((1, 1),))] * 2


def test_a_server_that_was_restarted_is_a_new_queue_whatever_it_kept(tmp_path: Path) -> None:
    ask = {"member": "a/1", "lease_ms": LONG_MS, "digest": "d", "keep_s": 60, "epoch": "", "limit": 0, "want": 1}
    ask |= {"fresh": True, "newest": 0, "seen": 0, "low": 0, "settle": [], "back": [], "tell": False, "bye": False}
    opens = {"number": 1, "entries": [3, 1], "whole": True}
    with RedisProcess(tmp_path, options=("appendonly yes", "appendfsync always")) as server:
        real = real_server(server.url, "run")
        real.call(json.dumps({**ask, "number": 1, "anew": "first", "opens": opens}))
        server.end()
        server.start()
        with server.client() as one:
            assert one.exists("run")  # it kept everything
        again = {**ask, "number": 2, "anew": "second", "epoch": "first", "fresh": False, "newest": 1}
        answer = answer_from_text(real.call(json.dumps(again)), UNITS)
    assert (answer.epoch, answer.gathering, answer.newest, answer.claims) == ("second", True, 1, ())


def test_a_key_that_is_no_queue_is_an_error_without_the_password(server: RedisProcess) -> None:
    key = key_of_new_run()
    with server.client() as one:
        one.set(key, "something else", ex=60)
    with pytest.raises(Exception, match="WRONGTYPE") as error:
        real_server(server.url, key).call("{}")
    assert "s3cret" not in str(error.value)
