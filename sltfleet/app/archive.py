"""Builds the runner's zipapp: the one file that a host needs, made from this very installation.

The bytes depend on the sources alone (sorted names, a fixed time stamp, no compression level to differ), so the name,
which holds their digest, tells whether a host has this runner already.

For a run with a queue redis-py comes along, as it is installed here: whole, since what its modules import from each
other differs from release to release. It is ten times as large as the runner and is compressed (2.6 MB to 0.6 MB); a
controller with another zlib may so give the same sources another name, which costs a host a second file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from sltfleet import __version__

if TYPE_CHECKING:
    from importlib.abc import Traversable

SHEBANG = b"#!/usr/bin/env python3\n"

#: The oldest time that a zip file can tell.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)

_MAIN = """import sys

from sltfleet.runner.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


class RunnerArchive(NamedTuple):
    """The zipapp: its file name, the SHA-256 of its bytes in hex, and the bytes; what the scripts of core take."""

    name: str
    sha256: str
    data: bytes


#: The client of the queue, and what it needs on a python3 before 3.11.3. Both are pure Python.
QUEUE_PACKAGES = ("redis", "async_timeout")


@lru_cache(maxsize=2)
def runner_archive(*, queue: bool = False) -> RunnerArchive:
    """Return the runner of this installation, with `queue` for a python3 of 3.10 or newer and able to use a queue."""
    sources = dict(_sources())
    for package in QUEUE_PACKAGES if queue else ():
        sources.update(_tree(files(package), package))
    return build_archive(sources, zipfile.ZIP_DEFLATED if queue else zipfile.ZIP_STORED)


def build_archive(sources: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> RunnerArchive:
    """Return the zipapp of the given files, by name."""
    buffer = io.BytesIO()
    buffer.write(SHEBANG)
    with zipfile.ZipFile(buffer, "a", compression) as archive:
        for name in sorted(sources):
            info = zipfile.ZipInfo(name, _TIMESTAMP)
            info.create_system = 3
            info.external_attr = 0o100600 << 16
            archive.writestr(info, sources[name], compression)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    return RunnerArchive(f"runner-{digest[:16]}.pyz", digest, data)


def _sources() -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", _MAIN.encode()
    yield "sltfleet/__init__.py", f'__version__ = "{__version__}"\n'.encode()
    package = files("sltfleet")
    for part in ("wire", "runner"):
        yield from _modules(package / part, f"sltfleet/{part}")


def _modules(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_file() and entry.name.endswith(".py"):
            yield f"{name}/{entry.name}", entry.read_bytes()


def _tree(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    yield from _modules(folder, name)
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _tree(entry, f"{name}/{entry.name}")
