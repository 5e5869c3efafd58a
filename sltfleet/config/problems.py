"""pydantic's findings -> problems in plain words, each with its line, its dotted key and the nearest valid key."""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sltfleet.config.fields import FieldError
from sltfleet.config.model import FleetConfig
from sltfleet.config.queue_url import masked
from sltfleet.config.yaml_tree import KeyPath, Place, YamlTree, dotted
from sltfleet.core.errors import ConfigProblem
from sltfleet.core.nearest import did_you_mean

#: A longer value is not repeated in full.
_MAX_SHOWN_CHARACTERS = 60

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}

_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}


@dataclass(frozen=True)
class _Target:
    """What a finding is about: the place among the file's values, whether the key is meant, the model around it."""

    path: KeyPath
    is_key: bool
    model: type[BaseModel] | None


def problems_of(error: ValidationError, tree: YamlTree) -> list[ConfigProblem]:
    """Return every finding of `error` about the values of `tree`."""
    return [_problem(details, tree) for details in error.errors(include_url=False)]


def problem_at(tree: YamlTree, path: KeyPath, message: str, hint: str = "") -> ConfigProblem:
    """Return a problem with the value at `path`, or with the nearest value around it that is in the file."""
    place = _place(tree.values, path)
    return ConfigProblem(place.line, place.column, dotted(path), message, hint)


def _problem(details: ErrorDetails, tree: YamlTree) -> ConfigProblem:
    kind = details["type"]
    target = _target(details["loc"], is_extra=kind == "extra_forbidden")
    path = target.path
    if kind.startswith("union_tag"):
        path = (*path, "kind")
    about_key = target.is_key or kind in ("missing", "extra_forbidden", "union_tag_not_found", "too_short")
    place = _place(tree.keys if about_key else tree.values, path)
    message, hint = _words(details, target, _place(tree.values, path).source)
    return ConfigProblem(place.line, place.column, dotted(path), message, hint)


def _words(details: ErrorDetails, target: _Target, source: str) -> tuple[str, str]:
    """Return message and hint."""
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        known = sorted(target.model.model_fields) if target.model else []
        return "unknown key", did_you_mean(str(target.path[-1]), known) or "known keys: " + ", ".join(known)
    if kind == "missing":
        field = target.model.model_fields.get(str(target.path[-1])) if target.model else None
        return "is missing", (field.description or "").rstrip(".") if field else ""
    if kind == "union_tag_not_found":
        return "is missing", _kinds(target.model, target.path)
    if kind == "union_tag_invalid":
        expected = context["expected_tags"]
        return f"{context['tag']!r} is none of {expected}", did_you_mean(context["tag"], _quoted_words(expected))
    if kind == "literal_error":
        expected = context["expected"]
        hint = did_you_mean(value, _quoted_words(expected)) if isinstance(value, str) else ""
        return f"expected {expected}, found {_shown(value, source)}", hint
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {_shown(value, source)}", _type_hint(kind, value, source)
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{words} {context[name]}, found {_shown(value, source)}", ""
    if kind == "too_short":
        return "needs at least one entry", ""
    cause = context.get("error")
    if isinstance(cause, FieldError):
        return cause.message, cause.hint
    return details["msg"], ""


def _type_hint(kind: str, value: object, source: str) -> str:
    """Return what was probably meant by a value of the wrong type."""
    if kind == "string_type" and isinstance(value, bool):
        return f'to YAML {source} is a boolean: write "{source}" in quotes'
    if kind == "string_type" and isinstance(value, (int, float)):
        return f'write "{source}" in quotes'
    if kind == "string_type" and isinstance(value, dict) and list(value.values()) == [None]:
        name = next(iter(value))
        return f'to YAML braces are a mapping: write "{{{name}}}" in quotes'
    if kind == "tuple_type" and isinstance(value, (str, int, float)):
        return f'write ["{masked(source)}"]' if source else ""
    if kind.startswith("int") and isinstance(value, str) and value.isdigit():
        return "write the number without quotes and without leading zeros"
    return ""


def _shown(value: object, source: str) -> str:
    """Return a value in words; `source` is how it is written in the file."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {source or str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {source or value}"
    if isinstance(value, str):
        text = masked(value)
        return f"the text {text[:_MAX_SHOWN_CHARACTERS]!r}" + ("…" if len(text) > _MAX_SHOWN_CHARACTERS else "")
    return "keys and values" if isinstance(value, dict) else "a list"


def _target(location: tuple[int | str, ...], *, is_extra: bool) -> _Target:
    """Walk pydantic's location along the model.

    It differs from the place in the file in two ways: the kind of a union stands in it as a step of its own, and a
    wrong key of a mapping has a last step "[key]".
    """
    path: list[str | int] = []
    model: type[BaseModel] | None = None
    annotation: Any = FleetConfig  # annotations are not values of one type: what they are is asked below
    for step in location:
        annotation = _plain(annotation)
        if step == "[key]" and not is_extra and location[-1] == step:
            return _Target(tuple(path), True, model)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
            field = model.model_fields.get(str(step))
            annotation = field.annotation if field else None
        elif get_origin(annotation) in (Union, types.UnionType):
            annotation = next((option for option in get_args(annotation) if _kind(option) == step), None)
            continue
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        elif get_origin(annotation) is tuple:
            annotation = get_args(annotation)[0]
        else:
            break
        path.append(step)
    return _Target(tuple(path), False, model)


def _plain(annotation: Any) -> Any:
    """Return an annotation without its metadata and without `| None`."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        if len(options) == 1:
            return _plain(options[0])
    return annotation


def _kind(option: Any) -> str | None:
    """Return the one value of the field `kind` of a model in a union."""
    if isinstance(option, type) and issubclass(option, BaseModel) and "kind" in option.model_fields:
        kind: str = get_args(option.model_fields["kind"].annotation)[0]
        return kind
    return None


def _kinds(model: type[BaseModel] | None, path: KeyPath) -> str:
    field = model.model_fields.get(str(path[-1])) if model and path else None
    options = get_args(field.annotation) if field else ()
    return "one of " + ", ".join(kind for kind in map(_kind, options) if kind)


def _quoted_words(text: str) -> list[str]:
    """Return the words in pydantic's "'ssh' or 'local'" and "'files', 'partitions'"."""
    return text.split("'")[1::2]


def _place(places: dict[KeyPath, Place], path: KeyPath) -> Place:
    """Return the place of `path`, or of what it would be in."""
    for length in range(len(path), 0, -1):
        if path[:length] in places:
            return places[path[:length]]
    return places.get((), Place(1, 1))


def by_line(problems: Iterable[ConfigProblem]) -> list[ConfigProblem]:
    """Return the problems in the order of the file, each once."""
    return sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.key, problem.message))
