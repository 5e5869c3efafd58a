"""rsync as sltfleet uses it: the command of a sync, and what rsync prints.

The rules of what is synced are `core.sync_rules`'.

Running it is `transport.rsync`'s part. Why these options and no others: docs/decisions/003-what-is-synced.md (what is
sent and deleted) and 004-mtimes-and-cargo.md (contents decide, clocks do not).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sltfleet.core.shell import rsync_rsh

#: rsync gives up when nothing at all has come for so long. It keeps the connection alive while it reads large files.
QUIET_LIMIT_S = 120

#: Of the names of changed files so many are kept, for people.
MAX_NAMES = 1000


def sync_argv(
    source: str,
    target: str,
    *,
    rules_file: str,
    max_delete: int | None,
    rsh: Iterable[str] | None,
    dry_run: bool = False,
    quiet_limit_s: int = QUIET_LIMIT_S,
) -> list[str]:
    """Return the command that makes the folder `target` ("name:/path" or "/path") like the folder `source`.

    `rules_file` holds what `filter_rules` made. `max_delete` None sets no limit: for a dry run. Raises ValueError for
    a NUL in `rsh`.
    """
    argv = [
        "rsync",
        "--recursive",
        # Links are copied as links, and neither side follows one: a link out of the repo brings nothing along.
        "--links",
        # What git records of a mode, and nothing for others: no umask counts, and what is read-only can be replaced.
        "--perms",
        "--chmod=D700,Fu=rwX,Fgo=",
        # Contents decide what is sent, and a file gets the host's own time when it is written: cargo compares times.
        "--checksum",
        "--no-times",
        # Nothing is deleted before everything has arrived, and never more than was allowed.
        "--delete-delay",
        *([] if max_delete is None else [f"--max-delete={max_delete}"]),
        "--from0",
        f"--filter=merge {rules_file}",
        # Paths travel inside the protocol: no shell on the host sees them.
        "-s",
        # For the parser below: plain digits, names as they are, each line at once.
        "--no-human-readable",
        "--8-bit-output",
        "--outbuf=N",
        "--out-format=%i:%n",
        "--info=progress2,stats2",
        f"--timeout={quiet_limit_s}",
    ]
    if dry_run:
        argv.append("--dry-run")
    if rsh is not None:
        # Source text shrinks to a fifth; between two folders of one machine it would only cost time.
        argv += ["--compress", "-e", rsync_rsh(rsh)]
    return [*argv, "--", source.rstrip("/") + "/", target.rstrip("/") + "/"]


def rsync_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for rsync: whatever would change what it does or how it prints is gone."""
    kept = {name: value for name, value in environment.items() if not name.startswith(("RSYNC_", "CVSIGNORE"))}
    return {**{name: value for name, value in kept.items() if name != "LANGUAGE"}, "LC_ALL": "C"}


@dataclass(frozen=True)
class Progress:
    """How far a transfer is. `percent` is of all files' bytes: where some are there already, it never comes to 100.

    `looked_at` is the share (0 to 1) of the files that rsync has compared, None until it knows how many there are.
    """

    done_bytes: int
    percent: int
    rate_bytes_per_s: float
    looked_at: float | None = None


@dataclass(frozen=True)
class Stats:
    """What rsync says at its end.

    `files` are all but folders; `speedup`: all files' bytes / bytes that crossed the connection.
    """

    files: int
    total_bytes: int
    transferred: int
    sent_bytes: int
    received_bytes: int
    speedup: float


_UNITS = {"B": 1.0, "kB": 1024.0, "MB": 1024.0**2, "GB": 1024.0**3, "TB": 1024.0**4}
_PROGRESS = re.compile(r"\s*(\d+)\s+(\d+)%\s+([\d.]+)([kMGT]?B)/s\s+\d+:\d\d:\d\d(?:.*to-chk=(\d+)/(\d+)\))?")
#: "--out-format=%i:%n": what changed, then the name. Control characters in a name are escaped by rsync.
_CHANGE = re.compile(r"([<>ch.][fdLDS][^:]{9}):(.*)\Z")
_DELETION = re.compile(r"\*deleting +:(.*)\Z")
_SKIPPED = re.compile(r"Deletions stopped due to --max-delete limit \((\d+) skipped\)")
_FOLDERS = re.compile(r"Number of files: .*\bdir: (\d+)")
_STATS = {
    "entries": re.compile(r"Number of files: (\d+)"),
    "total": re.compile(r"Total file size: (\d+) bytes"),
    "transferred": re.compile(r"Number of regular files transferred: (\d+)"),
    "sent": re.compile(r"Total bytes sent: (\d+)"),
    "received": re.compile(r"Total bytes received: (\d+)"),
}


@dataclass
class RsyncReader:
    """Reads rsync's standard output as it comes, in pieces of any size.

    Counts are exact; of the names the first MAX_NAMES are kept.
    """

    changed: int = 0
    changed_files: int = 0
    changed_names: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    deleted: int = 0
    deleted_names: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    _folders: int = 0
    _looked_at: float | None = None
    _rest: str = ""

    def feed(self, text: str) -> Progress | None:
        """Take in more output; return the last progress that it tells, None where it tells none."""
        *lines, self._rest = (self._rest + text).replace("\r", "\n").split("\n")
        progress = None
        for line in lines:
            found = parse_progress(line)
            if found is None:
                self._take(line)
                continue
            # Said at the end of each file only.
            self._looked_at = self._looked_at if found.looked_at is None else found.looked_at
            progress = replace(found, looked_at=self._looked_at)
        return progress

    def _take(self, line: str) -> None:
        if change := _CHANGE.match(line):
            code, name = change.groups()
            self.changed += 1
            if not name.endswith("/"):
                self.changed_files += 1
                if len(self.changed_names) < MAX_NAMES:
                    self.changed_names.append(name)
            if code[1] == "L":
                self.links.append(_unescaped(name))
        elif deletion := _DELETION.match(line):
            self.deleted += 1
            if len(self.deleted_names) < MAX_NAMES:
                self.deleted_names.append(deletion.group(1))
        else:
            for key, pattern in _STATS.items():
                if found := pattern.match(line):
                    self._numbers[key] = int(found.group(1))
            if folders := _FOLDERS.match(line):
                self._folders = int(folders.group(1))

    def add(self, earlier: RsyncReader) -> None:
        """Count in what an earlier round of the same sync did."""
        self.changed += earlier.changed
        self.changed_files += earlier.changed_files
        self.changed_names = [*earlier.changed_names, *self.changed_names][:MAX_NAMES]
        self.links = earlier.links + self.links
        for key in ("transferred", "sent", "received"):
            if key in self._numbers:
                self._numbers[key] += earlier._numbers.get(key, 0)

    @property
    def stats(self) -> Stats | None:
        """The closing numbers, None where rsync did not get so far."""
        if len(self._numbers) < len(_STATS):
            return None
        numbers = self._numbers
        crossed = numbers["sent"] + numbers["received"]
        return Stats(
            files=max(0, numbers["entries"] - self._folders),  # a host may claim more folders than entries
            total_bytes=numbers["total"],
            transferred=numbers["transferred"],
            sent_bytes=numbers["sent"],
            received_bytes=numbers["received"],
            speedup=numbers["total"] / crossed if crossed else 0.0,
        )


def _unescaped(name: str) -> str:
    """Return the name itself: rsync writes a control character in it as `\\#ooo`."""
    return re.sub(r"\\#([0-3][0-7]{2})", lambda found: chr(int(found.group(1), 8)), name)


def parse_progress(line: str) -> Progress | None:
    """Return what a line of `--info=progress2` tells, None for any other line."""
    found = _PROGRESS.match(line)
    if found is None:
        return None
    done, percent, rate, unit, left, files = found.groups()
    looked_at = 1 - int(left) / int(files) if files and int(files) else None
    return Progress(int(done), int(percent), float(rate) * _UNITS[unit], looked_at)


def skipped_deletions(stderr: str) -> int:
    """Return how many deletions rsync left out because of `--max-delete`: files, and folders that are empty."""
    found = _SKIPPED.search(stderr)
    return int(found.group(1)) if found else 0
