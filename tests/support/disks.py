"""Small disks for hosts: a tmpfs of a few megabytes, mounted where only the host's own processes see it.

The mount lives in a namespace that ends with its holder (a `sh` that waits for the end of its standard input) and the
processes in it, so that nothing stays mounted, however a test ends. It needs root, `unshare` and `nsenter`, and skips
the test where it cannot be done.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_MOUNT = 'mount -t tmpfs -o "size=$1,mode=700" tmpfs "$2" && echo && read -r _'

_FILLER = "filler"
_PIECE = b"x" * 4096


@dataclass(frozen=True)
class SmallDisk:
    """`launcher` starts a host's sshd where it sees the disk (`LoopbackHost.launcher`); `inside` shows it to a test."""

    launcher: tuple[str, ...]
    inside: Path

    def fill(self, room_bytes: int = 0) -> None:
        """Leave so much room, and no more."""
        with open(self.inside / _FILLER, "ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(_PIECE)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        if room_bytes:
            os.truncate(self.inside / _FILLER, (self.inside / _FILLER).stat().st_size - room_bytes)

    def make_room(self) -> None:
        """Take away what `fill` has written."""
        (self.inside / _FILLER).unlink()


@contextlib.contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Give a disk that its processes see at `place`, and end these processes. Skips the test where it cannot be."""
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("a disk of a test's own needs root, unshare and nsenter")
    place.mkdir(parents=True)
    words = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", str(size_bytes), str(place)]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != b"\n":
            pytest.skip(f"no disk can be mounted here: {holder.stderr.read().decode(errors='replace').strip()}")
        namespace = f"/proc/{holder.pid}/ns/mnt"
        launcher = ("nsenter", f"--mount={namespace}", "--")
        try:
            yield SmallDisk(launcher, Path(f"/proc/{holder.pid}/root{place}"))
        finally:
            _end_all_in(Path(namespace).readlink(), besides=holder.pid)


def _end_all_in(namespace: Path, besides: int) -> None:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) != besides and (entry / "ns" / "mnt").readlink() == namespace:
                os.kill(int(entry.name), signal.SIGKILL)
