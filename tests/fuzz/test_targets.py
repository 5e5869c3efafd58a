"""No reader of foreign text raises anything but what it documents, and each ends soon: on noise, and on what is almost
right. `scripts/fuzz TARGET` goes on where this ends, guided by coverage.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

#: Of CPU, which no other process can take away, for an input of some kilobytes; a reader that backtracks or copies its
#: input for every line takes far more.
SLOW_S = 5.0

#: What breaks parsers, to be put anywhere.
_BITS = st.sampled_from(
    [
        *(b"", b"\0", b"\n", b"\r\n", b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"-", b"1e999", b"9" * 400),
        *(b"null", b"NaN", b"true", b"\xff\xfe", b"\xed\xa0\x80", "²".encode(), b"\x1b[2J", b"&a", b"*a", b"<<: *a"),
    ]
)
_EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), _BITS | st.binary(max_size=8), st.integers(1, 3)))


def edited(data: bytes, edits: list[tuple[float, int, bytes, int]]) -> bytes:
    """Put something in the place of some bytes, one or several times."""
    for place, length, bits, times in edits:
        at = int(place * len(data))
        data = data[:at] + bits * times + data[at + length :]
    return data


@pytest.mark.parametrize("target", sorted(TARGETS))
@given(drawn=st.data())
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_a_reader_of_foreign_text_raises_nothing_but_what_it_documents(target: str, drawn: st.DataObject) -> None:
    known = seeds(target)
    data = drawn.draw(st.binary(max_size=200) | st.builds(edited, st.sampled_from(known), _EDITS))
    started_s = time.thread_time()
    TARGETS[target](data)
    assert time.thread_time() - started_s < SLOW_S


@pytest.mark.parametrize("target", sorted(TARGETS))
@pytest.mark.parametrize("bit", [b"[", b"{", b'{"a":', b"a: ", b"- ", b'"', b"&a [*a, ", b"\n", b"\0", b"9", b"("])
def test_a_long_repetition_is_read_or_refused_in_bounded_time(target: str, bit: bytes) -> None:
    started_s = time.thread_time()
    TARGETS[target](bit * (20_000 // len(bit)))
    assert time.thread_time() - started_s < 2 * SLOW_S


#: What atheris found: each is read now.
FOUND = [("rsync_progress", b"Number of files: 0 (reg: 0, dir: 5)\n")]


@pytest.mark.parametrize(("target", "data"), FOUND)
def test_what_was_once_found_stays_mended(target: str, data: bytes) -> None:
    known = [seed for seed in seeds(target) if b"Number of files" in seed]
    for seed in known:
        TARGETS[target](seed + data)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_what_is_right_is_read(target: str) -> None:
    for seed in seeds(target):
        TARGETS[target](seed)
