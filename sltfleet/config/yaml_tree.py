"""A YAML file -> plain values, with the line and column of every key and value.

Only what fleet.yaml needs of YAML is taken: mappings with text keys, lists (as tuples), text, whole numbers, decimal
numbers, booleans and null, aliases and merge keys. A tag, a key that is no word and a key that is there twice are
problems; the number of values after all aliases is limited. What the values mean is left to `config.model`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sltfleet.config.fields import SourceFloat, SourceInt
from sltfleet.config.yaml_nodes import BOOLEAN, DECIMAL, INTEGER, MAX_DEPTH, NULL, TAG, TRUE, YamlError, read_nodes
from sltfleet.core.errors import ConfigProblem

#: After aliases: "billion laughs" is small as a file and endless as values.
MAX_VALUES = 50_000

#: A place among the file's values: keys of mappings and indices of lists, from the root.
KeyPath = tuple[str | int, ...]

_UNUSABLE = re.compile("[\0\ud800-\udfff]")


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


def read_yaml(data: bytes) -> YamlTree:
    """Return the values of a YAML file. Raises YamlError where there are none to be had."""
    root = read_nodes(data)
    tree = YamlTree()
    if root is not None:
        tree.value = _Builder(tree).build(root, (), 0)
    return tree


def dotted(path: KeyPath) -> str:
    """Return a path as people read it: `suites.sql.units.include[0]`."""
    text = ""
    for element in path:
        text += f"[{element}]" if isinstance(element, int) else f".{element}" if text else element
    return text


class _Builder:
    """Builds the values of a tree of nodes, and notes down places and problems as it goes."""

    def __init__(self, tree: YamlTree) -> None:
        self._tree = tree
        self._count = 0

    def build(self, node: Node, path: KeyPath, depth: int) -> object:
        """Return the value of `node`, which belongs at `path`. Raises YamlError where a limit is passed."""
        self._limit(node, depth)
        self._tree.values[path] = Place(*_start(node), node.value if isinstance(node, ScalarNode) else "")
        if isinstance(node, MappingNode):
            self._check_tag(node, path, "map")
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            self._check_tag(node, path, "seq")
            return tuple(self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value))
        return self._scalar(node, path)

    def _limit(self, node: Node, depth: int) -> None:
        self._count += 1
        if self._count > MAX_VALUES:
            raise YamlError(*_start(node), f"more than {MAX_VALUES} values, aliases counted as often as they are used")
        # The parser limits the depth of the text; an anchor that holds an alias of itself is deeper.
        if depth > MAX_DEPTH:
            raise YamlError(*_start(node), f"more than {MAX_DEPTH} levels deep", "does an anchor hold its own alias?")

    def _mapping(self, node: MappingNode, path: KeyPath, depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            if key_node.tag == TAG + "merge":
                continue
            if not isinstance(key_node, ScalarNode):
                self._problem(key_node, path, "a key must be a plain word")
                continue
            # Keys are text whatever they look like: a host may be called `on` or `10`.
            key = key_node.value
            place = (*path, key)
            self._check_characters(key_node, path)
            if key in values:
                first = self._tree.keys[place].line
                self._problem(key_node, place, f"is there twice; the first is in line {first}", "remove one of them")
                continue
            self._tree.keys[place] = Place(*_start(key_node), key)
            values[key] = self.build(value_node, place, depth + 1)
        for key_node, value_node in self._merged(node, path, depth):
            if key_node.value not in values:
                place = (*path, key_node.value)
                self._tree.keys[place] = Place(*_start(key_node), key_node.value)
                values[key_node.value] = self.build(value_node, place, depth + 1)
        return values

    def _merged(self, node: MappingNode, path: KeyPath, depth: int) -> Iterator[tuple[ScalarNode, Node]]:
        """Yield the keys and values that `<<` brings into `node`, those that win first."""
        for key_node, value_node in node.value:
            if key_node.tag != TAG + "merge":
                continue
            for source in value_node.value if isinstance(value_node, SequenceNode) else [value_node]:
                self._limit(source, depth)
                if not isinstance(source, MappingNode):
                    self._problem(source, path, "`<<` takes a mapping, or a list of them", "write <<: *anchor")
                    continue
                yield from (
                    (inner_key, inner_value)
                    for inner_key, inner_value in source.value
                    if isinstance(inner_key, ScalarNode) and inner_key.tag != TAG + "merge"
                )
                yield from self._merged(source, path, depth + 1)

    def _scalar(self, node: Node, path: KeyPath) -> object:
        self._check_characters(node, path)
        text: str = node.value
        tag = node.tag.removeprefix(TAG)
        if tag in ("str", "merge"):
            return text
        if tag == "null" and NULL.match(text):
            return None
        if tag == "bool" and BOOLEAN.match(text):
            return text.lower() in TRUE
        if tag == "int" and INTEGER.match(text):
            return SourceInt.read(text)
        if tag == "float" and (DECIMAL.match(text) or INTEGER.match(text)):
            return SourceFloat.read(text)
        self._tag_problem(node, path)
        return text

    def _check_tag(self, node: Node, path: KeyPath, expected: str) -> None:
        if node.tag != TAG + expected:
            self._tag_problem(node, path)

    def _tag_problem(self, node: Node, path: KeyPath) -> None:
        message = f"the tag {node.tag.replace(TAG, '!!', 1)} does not fit here"
        self._problem(node, path, message, "write the value without a tag")

    def _check_characters(self, node: Node, path: KeyPath) -> None:
        if _UNUSABLE.search(node.value):
            self._problem(node, path, "has a character that no file name, variable or command can carry")

    def _problem(self, node: Node, path: KeyPath, message: str, hint: str = "") -> None:
        self._tree.problems.append(ConfigProblem(*_start(node), dotted(path), message, hint))


def _start(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
