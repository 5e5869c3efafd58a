"""Writing files so that a reader sees a whole one or none. What a run writes is for its owner's eyes only."""

from __future__ import annotations

import os

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def write_file(path: str, data: bytes) -> None:
    """Write a file aside and rename it into place. Raises OSError; then the old file, if any, is untouched."""
    aside = f"{path}.{os.getpid()}.tmp"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        os.replace(aside, path)
    except OSError:
        remove_file(aside)
        raise


def overwrite_json(path: str, data: bytes) -> bool:
    """Write a JSON text over the one that is there, within the blocks that it has already: for a disk that is full.

    What is longer than the new text becomes white space. Returns False where the blocks do not suffice. Raises OSError.
    """
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        info = os.fstat(fd)
        if len(data) > info.st_blocks * 512:
            return False
        write_all(fd, data + b" " * (info.st_size - len(data)))
        return True
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_up_to(fd: int, count: int, offset: int = 0) -> bytes:
    """Return up to `count` bytes from `offset` on, fewer only where the file ends. Raises OSError."""
    parts = []
    while count > 0:
        part = os.pread(fd, count, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        count -= len(part)
    return b"".join(parts)


def remove_file(path: str) -> None:
    """Remove a file that may be gone already. Raises OSError for any other reason."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def make_folder(path: str) -> None:
    """Make a folder, and its parents, unless it is there. Raises OSError."""
    if os.path.isdir(path):
        return
    make_folder(os.path.dirname(path))  # os.makedirs would give the parents another mode
    try:
        os.mkdir(path, FOLDER_MODE)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def tail(path: str, limit_bytes: int) -> str:
    """Return the last bytes of a text file, "" where it cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - limit_bytes))
            return file.read(limit_bytes).decode("utf-8", "replace")
    except OSError:
        return ""
