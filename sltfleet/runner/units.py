"""Which units a run has: files below a folder of the tree, shares of a suite, or what programs list; and which of them
are left after `select`.

`Unit` carries what the templates of the spec may ask about it. The programs are asked by `listing`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from sltfleet.wire import globs
from sltfleet.wire.spec import CommandUnits, FileUnits, LibtestBinary, LibtestUnits, PartitionUnits, UnitSource


@dataclass(frozen=True)
class Unit:
    """The smallest thing that is handed to a worker. `values`: the unit's own template placeholders.

    `binary`: the executable of a libtest test, where it is one.
    """

    id: str
    values: Dict[str, str]
    binary: Optional[LibtestBinary] = None

    @property
    def prefix(self) -> str:
        """What stands before the name of a libtest test, in the ids of units and cases."""
        return f"{self.binary.id}::" if self.binary else ""


@dataclass(frozen=True)
class Units:
    """The units of a run in their natural order, and what was left out for a reason that a person should know."""

    units: Tuple[Unit, ...]
    notes: Tuple[str, ...] = ()


#: What the programs of a run list: the id of a libtest executable -> its tests, LINES -> the lines of a command.
Listed = Mapping[str, Sequence[str]]
LINES = ""


def resolve_units(source: UnitSource, select: Sequence[str], tree: str, listed: Optional[Listed] = None) -> Units:
    """Return the units of a run whose tree is `tree`. Raises GlobError and OSError."""
    if isinstance(source, PartitionUnits):
        return Units(tuple(_partitions(source, select)))
    if isinstance(source, LibtestUnits):
        return Units(tuple(_tests(source, select, listed or {})))
    if isinstance(source, CommandUnits):
        if source.files is not None:
            return _files(source.files, select, tree)
        return _named(source.items or (listed or {}).get(LINES, ()), select)
    return _files(source, select, tree)


def unit_values(unit: str, path: str = "", partition: str = "", partitions: str = "", test: str = "") -> Dict[str, str]:
    """Return the values of the placeholders that a unit decides."""
    return {"unit": unit, "path": path, "partition": partition, "partitions": partitions, "test": test}


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
            notes.append(f"left out, its name is not valid UTF-8: {_escaped(path)}")
            continue
        chosen.append(Unit(path, unit_values(path, path=os.path.join(root, path))))
    return Units(tuple(chosen), tuple(notes))


def _partitions(source: PartitionUnits, select: Sequence[str]) -> Iterator[Unit]:
    for number in range(source.first, source.first + source.count):
        unit = f"{number}/{source.count}"
        if not select or globs.matches_any(unit, select):
            yield Unit(unit, unit_values(unit, partition=str(number), partitions=str(source.count)))


def _tests(source: LibtestUnits, select: Sequence[str], listed: Listed) -> Iterator[Unit]:
    for binary in source.binaries:
        for test in listed.get(binary.id, ()):
            unit = f"{binary.id}::{test}"
            if globs.matches_any(unit, source.exclude) or (select and not globs.matches_any(unit, select)):
                continue
            yield Unit(unit, unit_values(unit, test=test), binary)


def _named(names: Sequence[str], select: Sequence[str]) -> Units:
    """Each name once: a unit's id must not stand for two."""
    distinct = list(dict.fromkeys(names))
    chosen = [name for name in distinct if not select or globs.matches_any(name, select)]
    doubled = len(names) - len(distinct)
    notes = (f"{doubled} units that are named more than once count once",) if doubled else ()
    return Units(tuple(Unit(name, unit_values(name)) for name in chosen), notes)


def _escaped(path: str) -> str:
    """The path with the bytes that are no UTF-8 as a shell's $'…' has them: `caf\\xe9.test`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
