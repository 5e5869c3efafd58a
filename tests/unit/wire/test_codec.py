"""The codec: what is written comes back, and nothing that another machine sends does harm."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, is_dataclass
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.wire import events, handshake, spec, state
from sltfleet.wire.codec import MAX_NUMBER, DecodeError, decode, decode_kind, to_text
from sltfleet.wire.format import FORMAT_VERSION, FormatError, FormatTooNew, FormatTooOld, check_format

T = TypeVar("T")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)

LARGEST = math.nextafter(float(MAX_NUMBER), 0.0)
NUMBERS = {int: st.integers(-MAX_NUMBER, MAX_NUMBER), float: st.floats(-LARGEST, LARGEST)}


def building(cls: type[T], **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Any value of a wire dataclass whose numbers the wire takes."""
    return st.deferred(lambda: st.builds(cls, **{**_fields(cls), **fixed}))


def _fields(cls: type[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: _strategy(hint) for name, hint in get_type_hints(cls).items() if get_origin(hint) is not ClassVar}


def _strategy(hint: Any) -> st.SearchStrategy[Any]:
    arguments = get_args(hint)
    if hint in NUMBERS:
        return NUMBERS[hint]
    if get_origin(hint) is Union:
        return st.one_of(*map(_strategy, arguments))
    if get_origin(hint) is tuple:
        return st.lists(_strategy(arguments[0]), max_size=3).map(tuple)
    if get_origin(hint) is dict:
        return st.dictionaries(st.text(max_size=5), _strategy(arguments[1]), max_size=3)
    return building(hint) if isinstance(hint, type) and is_dataclass(hint) else st.from_type(hint)


SPECS = building(spec.Spec, format=st.just(FORMAT_VERSION))
STATES = building(state.State, format=st.just(FORMAT_VERSION))
EVENTS = st.one_of(
    *(building(cls) for cls in events.EVENT_CLASSES if cls is not events.RunStarted),
    building(events.RunStarted, format=st.just(FORMAT_VERSION)),
)
ANSWERS = building(handshake.Launched) | building(handshake.Refused) | building(handshake.Stopped)


@given(SPECS)
@settings(max_examples=50)
def test_a_spec_comes_back_as_it_was_written(value: spec.Spec) -> None:
    assert spec.spec_from_json(json.loads(to_text(value))) == value


@given(STATES)
@settings(max_examples=50)
def test_a_state_comes_back_as_it_was_written(value: state.State) -> None:
    assert state.state_from_json(json.loads(to_text(value))) == value


@given(EVENTS)
def test_an_event_is_one_line_and_comes_back_as_it_was_written(event: events.Event) -> None:
    line = events.event_to_line(event)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert events.event_from_line(line) == event


@given(ANSWERS, st.text(), st.text())
def test_an_answer_is_found_behind_whatever_a_login_shell_prints(
    answer: handshake.Answer, before: str, after: str
) -> None:
    printed = before.replace(handshake.MARKER, "") + "\n" + handshake.answer_to_line(answer)
    assert handshake.answer_from_output(printed + after.replace(handshake.MARKER, "")) == answer


def test_no_answer_is_none_and_a_damaged_one_is_an_error() -> None:
    assert handshake.answer_from_output("welcome!\n") is None
    for damaged in ("", "{", "[]", '{"kind": "other"}', '{"kind": "stopped"}'):
        with pytest.raises(DecodeError):
            handshake.answer_from_output(handshake.MARKER + damaged)


@given(JSON)
def test_hostile_json_is_a_decode_error_or_a_value_never_anything_else(raw: object) -> None:
    for parse in (spec.spec_from_json, state.state_from_json):
        with pytest.raises((DecodeError, FormatError)):
            parse(raw)
    for classes in (events.EVENT_CLASSES, (handshake.Launched, handshake.Refused)):
        with pytest.raises(DecodeError):
            decode_kind(classes, raw)


@given(EVENTS, st.data())
def test_an_event_with_one_value_replaced_is_refused_or_still_an_event(
    event: events.Event, data: st.DataObject
) -> None:
    raw = json.loads(to_text(event))
    raw[data.draw(st.sampled_from(sorted(raw)))] = data.draw(JSON)
    try:
        decoded = decode_kind(events.EVENT_CLASSES, raw)
    except DecodeError:
        return
    assert isinstance(decoded, events.EVENT_CLASSES)


@given(st.binary())
def test_a_torn_or_foreign_line_is_a_decode_error(line: bytes) -> None:
    with pytest.raises((DecodeError, FormatError)):
        events.event_from_line(line)


@given(EVENTS, st.data())
def test_a_line_that_is_cut_anywhere_is_refused(event: events.Event, data: st.DataObject) -> None:
    line = events.event_to_line(event)
    cut = data.draw(st.integers(0, len(line) - 2))
    with pytest.raises(DecodeError):
        events.event_from_line(line[:cut])


@dataclass(frozen=True)
class Leaf:
    kind: ClassVar[str] = "leaf"
    number: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Box:
    kind: ClassVar[str] = "box"
    count: int
    leaves: list[Leaf] = field(default_factory=list)
    by_name: dict[str, Leaf] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ([], ""),
        ({}, "count"),
        ({"count": True}, "count"),
        ({"count": 1.0}, "count"),
        ({"count": "1"}, "count"),
        ({"count": None}, "count"),
        ({"count": 1, "leaves": {}}, "leaves"),
        ({"count": 1, "leaves": [{"number": 1}, {}]}, "leaves[1].number"),
        ({"count": 1, "leaves": [{"number": math.nan}]}, "leaves[0].number"),
        ({"count": 1, "leaves": [{"number": math.inf}]}, "leaves[0].number"),
        ({"count": 1, "leaves": [{"number": 10**400}]}, "leaves[0].number"),
        ({"count": MAX_NUMBER + 1}, "count"),
        ({"count": 1, "leaves": [{"number": 1, "names": "abc"}]}, "leaves[0].names"),
        ({"count": 1, "by_name": {"x": {"number": []}}}, "by_name.x.number"),
    ],
)
def test_an_error_names_the_place(raw: object, where: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(Box, raw)
    assert caught.value.where == where


def test_unknown_keys_are_ignored_and_missing_ones_get_their_defaults() -> None:
    assert decode(Box, {"count": 1, "new": {"deep": []}}) == Box(1)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(DecodeError, match="'tree' is none of leaf, box"):
        decode_kind((Leaf, Box), {"kind": "tree"})


@pytest.mark.parametrize("found", [None, True, "1", 1.0, [1]])
def test_a_document_without_a_version_was_not_written_by_sltfleet(found: object) -> None:
    with pytest.raises(FormatError, match="no format version"):
        check_format(found, "it")


def test_too_old_and_too_new_are_different_errors_that_say_what_to_do() -> None:
    with pytest.raises(FormatTooNew, match="upgrade"):
        check_format(FORMAT_VERSION + 1, "it")
    with pytest.raises(FormatTooOld, match="older"):
        check_format(0, "it")
    with pytest.raises(FormatTooNew):
        events.event_from_line(b'{"kind": "run-started", "format": 99}')


@given(
    st.builds(
        state.Identity, boot_id=st.uuids().map(str), pid=st.integers(1, 2**31), start_ticks=st.integers(0, 10**18 - 1)
    )
)
def test_an_identity_is_one_line_that_comes_back(identity: state.Identity) -> None:
    assert state.identity_from_line(state.identity_to_line(identity)) == identity


@pytest.mark.parametrize("line", ["", "a b", "a b c", "a 1 2 3", "a -1 2", "a ² 2"])
def test_a_damaged_identity_names_nobody(line: str) -> None:
    assert state.identity_from_line(line) is None


def test_occupancy_is_busy_time_over_worker_time_within_the_budget() -> None:
    made = decode(
        state.State,
        {
            **dict.fromkeys(("started_wall_s", "written_wall_s", "active", "pass_number", "units_total"), 0),
            **dict.fromkeys(("units_covered", "attempts", "cases_passed", "cases_failed"), 0),
            **dict.fromkeys(("reason", "cpu_percent", "memory_available_bytes", "last_finish_s")),
            **{"run_id": "r", "suite": "s", "phase": "running", "outcomes": {}, "failing": []},
            **{"identity": {"boot_id": "b", "pid": 1, "start_ticks": 2}},
            **{"elapsed_s": 12, "budget_s": 10, "workers": 2, "busy_s": 15},
        },
    )
    assert made.occupancy == 0.75
