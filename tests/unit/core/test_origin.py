"""Which checkout a folder on a host belongs to."""

from __future__ import annotations

from sltfleet.core.origin import another_origin, make_origin


def test_two_checkouts_two_machines_and_two_paths_that_join_alike_are_told_apart() -> None:
    places = [("id", "laptop", "/home/jane/app"), ("id", "laptop", "/home/jane/review/app"), ("", "laptop", "/app")]
    places += [("other", "laptop", "/home/jane/app"), ("", "tower", "/app"), ("i", "x", "d/app"), ("id", "x", "/app")]
    assert len({make_origin(*place).digest for place in places}) == len(places)


def test_a_machine_that_is_given_another_name_is_the_same_one() -> None:
    assert make_origin("id", "laptop", "/app").digest == make_origin("id", "laptop.lan", "/app").digest


def test_the_name_tells_the_end_of_the_path_only_and_the_digest_nothing() -> None:
    origin = make_origin("id", "laptop", "/home/jane/work/app")
    assert origin.name == "work/app on laptop"
    assert len(origin.digest) == 64
    assert make_origin("id", "laptop", "/").name == "/ on laptop"
    assert make_origin("", "h", "/bad \udcff name").digest


def test_a_refusal_names_both_and_what_to_type() -> None:
    here = make_origin("id", "laptop", "/home/jane/app")
    error = another_origin(here, "review/app on tower")
    assert "review/app on tower" in error.why
    assert "jane/app on laptop" in error.why
    assert "sltfleet sync --take-over" in error.fix
    assert len(another_origin(here, "x" * 10_000).why) < 300
    assert "elsewhere" in another_origin(here, "").why
