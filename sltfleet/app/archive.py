"""Builds the runner's zipapp: the one file that a host needs, made from this very installation.

The bytes depend on the sources alone (sorted names, a fixed time stamp, no compression level to differ), so the name,
which holds their digest, tells whether a host has this runner already.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
class RunnerArchive:
    """The zipapp: its file name, the SHA-256 of its bytes in hex, and the bytes."""

    name: str
    sha256: str
    data: bytes


@lru_cache(maxsize=1)
def runner_archive() -> RunnerArchive:
    """Return the runner of this installation."""
    return build_archive(dict(_sources()))


def build_archive(sources: dict[str, bytes]) -> RunnerArchive:
    """Return the zipapp of the given files, by name."""
    buffer = io.BytesIO()
    buffer.write(SHEBANG)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            info = zipfile.ZipInfo(name, _TIMESTAMP)
            info.create_system = 3
            info.external_attr = 0o100600 << 16
            archive.writestr(info, sources[name])
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
