"""Which units a run has: files below a folder of the tree, or shares of a suite, narrowed by `select`.

`Unit` carries what the templates of the spec may ask about it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, Iterator, List, Sequence, Tuple

from sltfleet.wire import globs
from sltfleet.wire.spec import FileUnits, PartitionUnits, UnitSource


@dataclass(frozen=True)
class Unit:
    """The smallest thing that is handed to a worker. `values`: the unit's own template placeholders."""

    id: str
    values: Dict[str, str]


@dataclass(frozen=True)
class Units:
    """The units of a run in their natural order, and what was left out for a reason that a person should know."""

    units: Tuple[Unit, ...]
    notes: Tuple[str, ...] = ()


def resolve_units(source: UnitSource, select: Sequence[str], tree: str) -> Units:
    """Return the units of a run whose tree is `tree`. Raises GlobError and OSError."""
    if isinstance(source, PartitionUnits):
        return Units(tuple(_partitions(source, select)))
    return _files(source, select, tree)


def walk(root: str) -> Iterator[str]:
    """Yield all files below `root` as paths relative to it, with `/`. Links to files count, linked folders do not."""
    prefix = len(os.path.join(root, ""))
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in names:
            yield os.path.join(folder, name)[prefix:]


def _files(source: FileUnits, select: Sequence[str], tree: str) -> Units:
    root = os.path.normpath(os.path.join(tree, source.root))
    chosen: List[Unit] = []
    notes: List[str] = []
    for path in globs.select(walk(root), source.include, source.exclude):
        if select and not globs.matches_any(path, select):
            continue
        if not _is_text(path):
            notes.append(f"left out, its name is not valid UTF-8: {path!a}")
            continue
        chosen.append(Unit(path, {"unit": path, "path": os.path.join(root, path), "partition": "", "partitions": ""}))
    return Units(tuple(chosen), tuple(notes))


def _partitions(source: PartitionUnits, select: Sequence[str]) -> Iterator[Unit]:
    for number in range(source.first, source.first + source.count):
        unit = f"{number}/{source.count}"
        if not select or globs.matches_any(unit, select):
            values = {"unit": unit, "path": "", "partition": str(number), "partitions": str(source.count)}
            yield Unit(unit, values)


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
