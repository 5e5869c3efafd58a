"""Strict conversion between JSON values and the wire's dataclasses.

What arrives comes from another machine, so every value is checked against the dataclass's annotations: a missing key, a
wrong type, a number that is not finite or beyond 64 bits is a `DecodeError` that names the place. Unknown keys are
ignored, so that a newer writer may add one without a new format.

Annotations may use: bool, int, float, str, Optional[T], List[T], Tuple[T, ...], Dict[str, T], other dataclasses, and
unions of dataclasses that carry a class variable `kind`, told apart by the JSON key `"kind"`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from functools import lru_cache
from typing import Any, Dict, Mapping, Optional, Tuple, Type, TypeVar, Union, get_type_hints

T = TypeVar("T")

#: Deeper nesting than any wire type has: a hostile document must not exhaust the stack.
MAX_DEPTH = 32

#: A number beyond this is neither a count, a size nor a time: it must not overflow what it meets, SQLite among it.
MAX_NUMBER = 2**63 - 1


class DecodeError(ValueError):
    """A JSON value does not have the shape that the wire prescribes. `where` is a dotted path into the document."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where or 'document'}: {problem}")
        self.where = where
        self.problem = problem


def to_text(value: Any) -> str:
    """Return the JSON text of a wire dataclass, one line of ASCII. Raises ValueError for what is no JSON number."""
    return _to_text(value)


def decode(cls: Type[T], raw: object, where: str = "") -> T:
    """Return the `cls` that the JSON value `raw` describes. Raises DecodeError."""
    if not isinstance(raw, Mapping):
        raise DecodeError(where, f"expected an object, found {_type_name(raw)}")
    return cls(**_decode_fields(cls, raw, where, 0))


def decode_kind(classes: Tuple[Type[Any], ...], raw: object, where: str = "") -> Any:
    """Return one of the dataclasses `classes`, chosen by the key `"kind"` of `raw`. Raises DecodeError."""
    if not isinstance(raw, Mapping):
        raise DecodeError(where, f"expected an object, found {_type_name(raw)}")
    kind = raw.get("kind")
    for cls in classes:
        if cls.kind == kind:
            return decode(cls, raw, where)
    known = ", ".join(str(cls.kind) for cls in classes)
    raise DecodeError(_join(where, "kind"), f"{kind!r} is none of {known}")


def _record(value: Any) -> Dict[str, Any]:
    """The fields of a dataclass as a dict, which must not be changed. Its values are what they are: json asks again."""
    cls: Any = type(value)
    kind = _kind(cls)
    return vars(value) if kind is None else {"kind": kind, **vars(value)}


@lru_cache(maxsize=None)
def _kind(cls: Any) -> Optional[str]:
    """What tells a dataclass from the others of its union, if it is in one. Raises TypeError for any other type."""
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is nothing that the wire carries")
    kind = getattr(cls, "kind", None)
    return kind if isinstance(kind, str) else None


#: Made once, and it goes through the containers itself: the journal is written while workers wait for the runner.
_to_text = json.JSONEncoder(
    ensure_ascii=True, check_circular=False, allow_nan=False, separators=(",", ":"), default=_record
).encode


@lru_cache(maxsize=None)
def _hints(cls: type) -> Dict[str, Any]:
    return get_type_hints(cls)


def _decode_fields(cls: Any, raw: Mapping[Any, Any], where: str, depth: int) -> Dict[str, Any]:
    hints = _hints(cls)
    values: Dict[str, Any] = {}
    # `hints` are resolved types: `from __future__ import annotations` leaves strings in the fields.
    for field in dataclasses.fields(cls):
        place = _join(where, field.name)
        if field.name in raw:
            values[field.name] = _decode_value(hints[field.name], raw[field.name], place, depth + 1)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DecodeError(place, "is missing")
    return values


def _decode_value(hint: Any, raw: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise DecodeError(where, "is nested too deeply")
    origin = getattr(hint, "__origin__", None)
    if origin is Union:
        return _decode_union(hint.__args__, raw, where, depth)
    if origin in (list, tuple):
        if not isinstance(raw, list):
            raise DecodeError(where, f"expected a list, found {_type_name(raw)}")
        item = hint.__args__[0]
        items = [_decode_value(item, entry, f"{where}[{i}]", depth + 1) for i, entry in enumerate(raw)]
        return tuple(items) if origin is tuple else items
    if origin is dict:
        if not isinstance(raw, Mapping):
            raise DecodeError(where, f"expected an object, found {_type_name(raw)}")
        item = hint.__args__[1]
        return {str(key): _decode_value(item, entry, _join(where, str(key)), depth + 1) for key, entry in raw.items()}
    if dataclasses.is_dataclass(hint):
        if not isinstance(raw, Mapping):
            raise DecodeError(where, f"expected an object, found {_type_name(raw)}")
        record: Any = hint  # a dataclass type: what mypy knows of it is not callable
        return record(**_decode_fields(record, raw, where, depth))
    return _decode_scalar(hint, raw, where)


def _decode_union(options: Tuple[Any, ...], raw: Any, where: str, depth: int) -> Any:
    if raw is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    if len(options) == 1:
        return _decode_value(options[0], raw, where, depth)
    if not isinstance(raw, Mapping):
        raise DecodeError(where, f"expected an object, found {_type_name(raw)}")
    for option in options:
        if option.kind == raw.get("kind"):
            return option(**_decode_fields(option, raw, where, depth))
    known = ", ".join(str(option.kind) for option in options)
    raise DecodeError(_join(where, "kind"), f"{raw.get('kind')!r} is none of {known}")


def _decode_scalar(hint: Any, raw: Any, where: str) -> Any:
    if isinstance(raw, float) and not math.isfinite(raw):
        raise DecodeError(where, "is not a finite number")
    if isinstance(raw, (int, float)) and abs(raw) > MAX_NUMBER:
        raise DecodeError(where, "is too large a number")
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if not isinstance(raw, hint) or (isinstance(raw, bool) and hint is not bool):
        raise DecodeError(where, f"expected {hint.__name__}, found {_type_name(raw)}")
    return raw


def _type_name(raw: object) -> str:
    return "null" if raw is None else type(raw).__name__


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
