"""YAML text -> plain values, with the line and column of every key and value.

Only what fleet.yaml needs of YAML is taken: mappings with text keys, lists (as tuples), text, whole numbers, decimal
numbers, booleans and null, aliases and merge keys. `1:30`, `010`, `2024-01-01` and `.inf` are text, not the base-60
number, the octal number, the date and the infinity of YAML 1.1; `yes`, `no`, `on` and `off` are booleans, as they are
to most readers.

The text may come from anywhere: size, depth and the number of values after all aliases are limited, and nothing but
YamlError comes out. What the values mean is left to `config.model`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sltfleet.config.fields import SourceFloat, SourceInt
from sltfleet.core.errors import ConfigProblem

MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 32
#: After aliases: "billion laughs" is small as a file and endless as values.
MAX_VALUES = 50_000

#: A place in the file's values: keys of mappings and indices of lists, from the root.
KeyPath = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_BOOLEAN = re.compile(r"(?i:true|false|yes|no|on|off)\Z")
#: At most 18 digits: beyond that it is no number that anything here means.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+)\Z")
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_UNUSABLE = re.compile("[\0\ud800-\udfff]")

#: What PyYAML says, and what people mostly did.
_SYNTAX_HINTS = (
    ("'\\t'", "YAML is indented by spaces, never by tabs"),
    ("expected alphabetic or numeric character", "a value that begins with * or & needs quotes"),
    ("found undefined alias", "a value that begins with * needs quotes"),
    ("mapping values are not allowed", "a text with ': ' in it needs quotes; or the line is indented wrongly"),
    ("expected <block end>", "a text that begins with { or [ needs quotes around all of it; or the line is indented wrongly"),
    ("could not find expected ':'", "a key needs a ':' and a space after it"),
    ("found unexpected end of stream", "a quote or a bracket is not closed"),
    ("but got '<stream end>'", "a bracket is not closed"),
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where something stands, counted from 1, and how it is written ("" for a mapping or a list)."""

    line: int
    column: int
    source: str = ""


@dataclass
class YamlTree:
    """The values of a file, where their keys and they themselves stand, and what is wrong with the YAML alone."""

    value: object = None
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[ConfigProblem] = field(default_factory=list)


class YamlError(ValueError):
    """The text cannot be read as YAML at all, or not within the limits."""

    def __init__(self, problem: ConfigProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read_yaml(data: bytes) -> YamlTree:
    """Return the values of a YAML file. Raises YamlError where there are none to be had."""
    root = _compose(_decode(data))
    tree = YamlTree()
    if root is not None:
        tree.value = _Builder(tree).build(root, (), 0)
    return tree


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with our own idea of plain scalars, and a limit to the nesting."""

    # Not SafeLoader's resolvers: see the module's first paragraph.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    depth = 0

    def compose_node(self, parent: Node | None, index: object) -> Node | None:
        if self.depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_DEPTH} levels deep", problem_mark=self.get_mark())
        self.depth += 1
        try:
            node: Node | None = super().compose_node(parent, index)
            return node
        finally:
            self.depth -= 1


for _name, _pattern, _first in (
    ("bool", _BOOLEAN, "yYnNtTfFoO"),
    ("int", _INTEGER, "-+0123456789"),
    ("float", _DECIMAL, "-+0123456789."),
    ("null", _NULL, ["~", "n", "N", ""]),
    ("merge", re.compile(r"<<\Z"), "<"),
):
    _Loader.add_implicit_resolver(_TAG + _name, _pattern, list(_first))


def _decode(data: bytes) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise _error(0, 0, f"larger than {MAX_FILE_BYTES // 1024} KiB: this is no fleet.yaml")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise _error(before.count(b"\n") + 1, column, "not UTF-8", "save the file as UTF-8") from None


def _compose(text: str) -> Node | None:
    try:
        # The reader checks the characters as soon as it is made.
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        raise _error(line, column, f"the character {chr(error.character)!r} is not allowed in YAML") from None
    try:
        node: Node | None = loader.get_single_node()
        return node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark or loader.get_mark()
        message = ": ".join(part for part in (error.context, error.problem) if part)
        hint = next((hint for found, hint in _SYNTAX_HINTS if found in message), "")
        raise _error(mark.line + 1, mark.column + 1, f"not valid YAML: {message}", hint) from None
    except (ValueError, OverflowError):
        # PyYAML makes a character of any number in an escape, "\UFFFFFFFF" for instance, and a number of any digits.
        mark = loader.get_mark()
        raise _error(mark.line + 1, mark.column + 1, "not valid YAML: a number or an escape is out of range") from None
    finally:
        loader.dispose()


class _Builder:
    """Builds the values of a tree of nodes, and notes down places and problems as it goes."""

    def __init__(self, tree: YamlTree) -> None:
        self._tree = tree
        self._values = 0

    def build(self, node: Node, path: KeyPath, depth: int) -> object:
        """Return the value of `node`, which belongs at `path`."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise _error(*_start(node), f"more than {MAX_VALUES} values, aliases counted as often as they are used")
        # An anchor may hold an alias of itself, so depth is limited here as well as in the parser.
        if depth > MAX_DEPTH:
            raise _error(*_start(node), f"more than {MAX_DEPTH} levels deep", "an anchor may hold its own alias")
        source = node.value if isinstance(node, ScalarNode) else ""
        self._tree.values[path] = Place(*_start(node), source)
        if isinstance(node, MappingNode):
            self._check_tag(node, path, "map")
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            self._check_tag(node, path, "seq")
            return tuple(self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value))
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: KeyPath, depth: int) -> dict[str, object]:
        own: dict[str, Node] = {}
        lines: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                merged += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                continue
            if not isinstance(key_node, ScalarNode):
                self._problem(key_node, path, "a key must be a plain word")
                continue
            # Keys are text whatever they look like: a host may be called `on` or `10`.
            key = key_node.value
            self._check_characters(key_node, key, path)
            if key in own:
                self._problem(
                    key_node, (*path, key), f"is there twice; the first is in line {lines[key]}", "remove one"
                )
                continue
            own[key] = value_node
            lines[key] = key_node.start_mark.line + 1
            self._tree.keys[(*path, key)] = Place(*_start(key_node), key)
        values = {key: self.build(value_node, (*path, key), depth + 1) for key, value_node in own.items()}
        for key, value_node in self._merged(merged, path, depth):
            if key not in values:
                self._tree.keys[(*path, key)] = Place(*_start(value_node), key)
                values[key] = self.build(value_node, (*path, key), depth + 1)
        return values

    def _merged(self, nodes: list[Node], path: KeyPath, depth: int) -> Iterator[tuple[str, Node]]:
        """Yield keys and values of the mappings merged in by `<<`, the nearest first."""
        for node in nodes:
            if not isinstance(node, MappingNode) or depth > MAX_DEPTH:
                self._problem(node, path, "`<<` takes a mapping, or a list of them", "write <<: *anchor")
                continue
            further: list[Node] = []
            for key_node, value_node in node.value:
                if key_node.tag == _TAG + "merge":
                    further += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                elif isinstance(key_node, ScalarNode):
                    yield key_node.value, value_node
            yield from self._merged(further, path, depth + 1)

    def _scalar(self, node: Node, path: KeyPath) -> object:
        text: str = node.value
        self._check_characters(node, text, path)
        tag = node.tag.removeprefix(_TAG)
        if tag in ("str", "merge"):
            return text
        if tag == "null" and _NULL.match(text):
            return None
        if tag == "bool" and _BOOLEAN.match(text):
            return text.lower() in _TRUE
        if tag == "int" and _INTEGER.match(text):
            integer = SourceInt(text)
            integer.source = text
            return integer
        if tag == "float" and (_DECIMAL.match(text) or _INTEGER.match(text)):
            decimal = SourceFloat(text)
            decimal.source = text
            return decimal
        self._problem(node, path, f"the tag {_shown_tag(node.tag)} does not fit here", "write the value without a tag")
        return text

    def _check_tag(self, node: Node, path: KeyPath, expected: str) -> None:
        if node.tag != _TAG + expected:
            self._problem(
                node, path, f"the tag {_shown_tag(node.tag)} does not fit here", "write the value without a tag"
            )

    def _check_characters(self, node: Node, text: str, path: KeyPath) -> None:
        if _UNUSABLE.search(text):
            self._problem(node, path, "has a character that no file name, variable or command can carry")

    def _problem(self, node: Node, path: KeyPath, message: str, hint: str = "") -> None:
        self._tree.problems.append(ConfigProblem(*_start(node), dotted(path), message, hint))


def dotted(path: KeyPath) -> str:
    """Return a path as people read it: `suites.sql.units.include[0]`."""
    text = ""
    for element in path:
        text += f"[{element}]" if isinstance(element, int) else f".{element}" if text else element
    return text


def _start(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _shown_tag(tag: str) -> str:
    return tag.replace(_TAG, "!!", 1)


def _error(line: int, column: int, message: str, hint: str = "") -> YamlError:
    return YamlError(ConfigProblem(line, column, "", message, hint))
