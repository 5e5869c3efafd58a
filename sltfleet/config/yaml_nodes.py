"""YAML text -> PyYAML's nodes, within limits, and with our own idea of what a plain word is.

`1:30`, `010`, `2024-01-01` and `.inf` are text here, not the base-60 number, the octal number, the date and the
infinity of YAML 1.1; `yes`, `no`, `on` and `off` are booleans, as they are to most readers.

The text may come from anywhere: its size and depth are limited, and nothing but YamlError comes out. `config.yaml_tree`
makes values of the nodes.
"""

from __future__ import annotations

import re

import yaml
from yaml.nodes import Node
from yaml.reader import ReaderError

from sltfleet.core.errors import ConfigProblem

MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 32

TAG = "tag:yaml.org,2002:"
TRUE = frozenset({"true", "yes", "on"})
BOOLEAN = re.compile(r"(?i:true|false|yes|no|on|off)\Z")
#: At most 18 digits: beyond that it is no number that anything in fleet.yaml means.
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
DECIMAL = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+)\Z")
NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")

_UNCLOSED = ("found unexpected end of stream", "'<stream end>'")

#: What PyYAML says, and what people mostly did.
_HINTS = (
    ("'\\t'", "YAML is indented by spaces, never by tabs"),
    ("expected alphabetic or numeric character", "a text that begins with * or & needs quotes"),
    ("found undefined alias", "a text that begins with * needs quotes"),
    ("mapping values are not allowed", "a text with ': ' in it needs quotes; or the line is indented wrongly"),
    ("expected <block end>", "a text that begins with { or [ needs quotes; or the line is indented wrongly"),
    ("could not find expected ':'", "a key needs a ':' and a space after it"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("'<stream end>'", "a bracket is not closed"),
)


class YamlError(ValueError):
    """The text cannot be read as YAML at all, or not within the limits."""

    def __init__(self, line: int, column: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.problem = ConfigProblem(line, column, "", message, hint)


class _Loader(yaml.SafeLoader):
    """PyYAML's parser; SafeLoader's resolvers are replaced, see the module's first paragraph."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.depth >= MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs leave it out
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_DEPTH} levels deep", problem_mark=mark)
        self.depth += 1
        try:
            node: Node | None = super().compose_node(parent, index)
            return node
        finally:
            self.depth -= 1


# The last argument: the characters that such a word can begin with.
_Loader.add_implicit_resolver(TAG + "bool", BOOLEAN, list("yYnNtTfFoO"))
_Loader.add_implicit_resolver(TAG + "int", INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver(TAG + "float", DECIMAL, list("-+0123456789."))
_Loader.add_implicit_resolver(TAG + "null", NULL, ["~", "n", "N", ""])
_Loader.add_implicit_resolver(TAG + "merge", re.compile(r"<<\Z"), ["<"])


def read_nodes(data: bytes) -> Node | None:
    """Return the root node of a YAML document, None for one without content. Raises YamlError."""
    text = _decode(data)
    try:
        # The reader checks the characters as soon as it is made.
        loader = _Loader(text)
    except ReaderError as error:
        line, column = _position(text[: error.position])
        raise YamlError(line, column, f"the character {chr(error.character)!r} is not allowed in YAML") from None
    try:
        node: Node | None = loader.get_single_node()
        return node
    except yaml.MarkedYAMLError as error:
        message = ": ".join(part for part in (error.context, error.problem) if part)
        # What is not closed is missed at the end of the file; what helps is where it was opened.
        unclosed = any(words in message for words in _UNCLOSED)
        mark = (error.context_mark if unclosed else None) or error.problem_mark or loader.get_mark()
        hint = next((hint for found, hint in _HINTS if found in message), "")
        raise YamlError(mark.line + 1, mark.column + 1, f"not valid YAML: {message}", hint) from None
    except (ValueError, OverflowError):
        # PyYAML makes a character of any number in an escape, "\UFFFFFFFF" for instance.
        mark = loader.get_mark()
        message = "not valid YAML: a number or an escape is out of range"
        raise YamlError(mark.line + 1, mark.column + 1, message) from None
    finally:
        loader.dispose()


def _decode(data: bytes) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise YamlError(1, 1, f"larger than {MAX_FILE_BYTES // 1024} KiB: this is no fleet.yaml")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode("utf-8-sig"))
        raise YamlError(line, column, "not UTF-8", "save the file as UTF-8") from None


def _position(before: str) -> tuple[int, int]:
    """Return line and column of what follows the text `before`."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
