from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sltfleet.transport.capture import MAX_LINE_BYTES, MAX_NOISE_BYTES, Capture, never_began, new_sentinel


def feed(capture: Capture, data: bytes, sizes: list[int]) -> None:
    """Feed `data` in pieces of these sizes, over and over."""
    position, turn = 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        capture.feed(data[position : position + size])
        position, turn = position + size, turn + 1


@given(st.binary(max_size=200), st.binary(max_size=400), st.lists(st.integers(1, 50), min_size=1))
def test_noise_text_and_lines_are_the_same_however_the_pieces_fall(noise: bytes, text: bytes, sizes: list[int]) -> None:
    lines: list[str] = []
    capture = Capture("@mark@", lines.append)
    feed(capture, noise + b"\n@mark@\n" + text, sizes)
    capture.finish()
    assert capture.started
    assert capture.noise.encode("utf-8", "surrogateescape") == noise
    assert capture.text.encode("utf-8", "surrogateescape") == text
    expected = text.split(b"\n")
    expected = expected if expected[-1] else expected[:-1]
    assert [line.encode("utf-8", "surrogateescape") for line in lines] == expected


def test_without_the_sentinel_all_is_noise_and_no_line_is_handed_over() -> None:
    lines: list[str] = []
    capture = Capture("@mark@", lines.append)
    capture.feed(b"This account is currently not available.\n")
    capture.finish()
    assert not capture.started
    assert not lines
    assert (
        never_began("box", 1, capture, Capture("@mark@"), "log in").detail == "This account is currently not available."
    )


def test_endless_noise_does_not_fill_the_memory_and_the_sentinel_is_still_found() -> None:
    capture = Capture("@mark@")
    for _ in range(50):
        capture.feed(b"x" * 10_000)
    capture.feed(b"\n@ma")
    capture.feed(b"rk@\ntext")
    assert len(capture.noise) <= MAX_NOISE_BYTES + 20
    assert capture.text == "text"


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_of_long_output_the_head_and_the_tail_are_kept(pieces: list[bytes]) -> None:
    capture = Capture("@mark@", max_bytes=100)
    capture.feed(b"\n@mark@\n")
    for piece in pieces:
        capture.feed(piece)
    whole = b"".join(pieces)
    text = capture.text.encode("utf-8", "surrogateescape")
    if len(whole) <= 100:
        assert text == whole
    else:
        gap = b"\n[%d bytes are left out here]\n" % (len(whole) - 100)
        assert text == whole[:50] + gap + whole[-50:]


def test_a_line_without_an_end_is_handed_over_in_pieces() -> None:
    lines: list[str] = []
    capture = Capture("@mark@", lines.append)
    capture.feed(b"\n@mark@\n" + b"x" * (MAX_LINE_BYTES + 5) + b"\nnext\n")
    capture.finish()
    assert "".join(lines[:-1]) == "x" * (MAX_LINE_BYTES + 5)
    assert lines[-1] == "next"


def test_every_sentinel_is_new_and_needs_no_quoting() -> None:
    first, second = new_sentinel(), new_sentinel()
    assert first != second
    assert all(char.isalnum() or char in "@-" for char in first)
