"""Stands between rsync and ssh where a host's login shell prints before the command, which rsync cannot bear.

    python -I login_filter.py MARK COUNT SSH-ARGV… [what rsync adds: -l USER, HOST, COMMAND…]

COUNT is the number of words of SSH-ARGV. The remote command is run by a small `sh` that prints MARK first; what comes
before it is dropped, the rest goes through. rsync's data to the host need not be touched: ssh inherits standard
input.

Only the standard library is used and nothing of sltfleet is imported: rsync starts this file by its path.
"""

from __future__ import annotations

import os
import subprocess
import sys

READ_BYTES = 256 * 1024

#: Noise is shown when the mark never comes; so much of it.
MAX_SHOWN_BYTES = 4096


def ssh_command(mark: str, count: int, words: list[str]) -> list[str]:
    """Return the argv of ssh with its remote command wrapped. Raises ValueError where host or command is missing."""
    ssh, added = words[:count], words[count:]
    options: list[str] = []
    while added and added[0].startswith("-"):
        taken = 2 if added[0] == "-l" else 1
        options += added[:taken]
        added = added[taken:]
    if len(added) < 2:
        raise ValueError("rsync named no host or no command")
    host, command = added[0], added[1:]
    # rsync has escaped its words for the login shell already, which splits them and hands them over as "$@".
    wrapper = f"sh -c 'echo; echo {mark}; exec \"$@\"' sh"
    return [*ssh, *options, host, " ".join([wrapper, *command])]


def copy_after(mark: bytes, source: int, target: int) -> bytes | None:
    """Copy what follows the line `mark` from one descriptor to another; where it never comes, return what did."""
    line = b"\n" + mark + b"\n"
    before = b""
    while line not in before:
        data = os.read(source, READ_BYTES)
        if not data:
            return before
        before += data
        # Noise without an end must not fill the memory: only what may hold the mark's beginning is kept.
        if line not in before and len(before) > READ_BYTES:
            before = before[-READ_BYTES:]
    rest = before.split(line, 1)[1]
    while True:
        view = memoryview(rest)
        while view:
            view = view[os.write(target, view) :]
        rest = os.read(source, READ_BYTES)
        if not rest:
            return None


def main(argv: list[str]) -> int:
    """Run ssh and return its exit code (128 + N for a signal N)."""
    mark, count, words = argv[1], int(argv[2]), argv[3:]
    # rsync leaves this end of its socket non-blocking.
    os.set_blocking(sys.stdout.fileno(), True)
    with subprocess.Popen(ssh_command(mark, count, words), stdout=subprocess.PIPE) as ssh:
        assert ssh.stdout
        try:
            noise = copy_after(mark.encode(), ssh.stdout.fileno(), sys.stdout.fileno())
        except BrokenPipeError:  # rsync is gone
            ssh.kill()
            noise = None
    if noise:
        sys.stderr.write(noise[-MAX_SHOWN_BYTES:].decode("utf-8", "replace") + "\n")
    return ssh.returncode if ssh.returncode >= 0 else 128 - ssh.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv))
