"""Gathers, when all is over, what everybody says: the units' log, journals, database, commands, processes, files.

Nothing is judged here; `verdict` has it judged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak_test.claims import Row, Said
from soak_test.plan import HOSTS
from soak_test.scene import Scene
from soak_test.units import Seen, read_log

#: What an ended command has started on a host (a shell, rsync) may need so long to notice.
GRACE_S = 20.0

_ATTEMPTS = (
    "SELECT attempt, worker, name, pass_number, attempts.seed, outcome, exit_code, signal, "
    # What an attempt without an end has there is a default, no value of the journal's.
    "CASE WHEN outcome IS NOT NULL THEN message END, CASE WHEN outcome IS NOT NULL THEN cases_passed END, "
    "CASE WHEN outcome IS NOT NULL THEN cases_failed END, CASE WHEN outcome IS NOT NULL THEN survivors END, end_s "
    "FROM attempts JOIN hosts ON hosts.id = host_id JOIN names ON names.id = unit_id "
    "WHERE run_id = ? AND host = ?"
)

#: The database's content without its own row numbers, which depend on the order of imports.
_DUMPS = {
    "hosts": "SELECT run_id, host, project, suite, wall_s, workers, budget_s, hosts.seed, build_digest, "
    "hex(journal_fingerprint), journal_offset, damage, last_s, reason, sample_count, runner_cpu_s FROM hosts",
    "host_units": "SELECT run_id, host, name FROM host_units JOIN hosts ON hosts.id = host_id "
    "JOIN names ON names.id = unit_id",
    "workers": "SELECT run_id, host, worker, start_s, stop_s FROM workers JOIN hosts ON hosts.id = host_id",
    "pass_ends": "SELECT run_id, host, pass_number, end_s FROM pass_ends JOIN hosts ON hosts.id = host_id",
    "attempts": "SELECT run_id, host, attempt, worker, name, pass_number, attempts.seed, start_s, end_s, outcome, "
    "exit_code, signal, message, cases_passed, cases_failed, cpu_s, max_rss_bytes, output_path, survivors "
    "FROM attempts JOIN hosts ON hosts.id = host_id JOIN names ON names.id = unit_id",
    "failures": "SELECT run_id, host, attempt, name, message FROM failures JOIN hosts ON hosts.id = host_id "
    "JOIN names ON names.id = case_id",
    "case_passes": "SELECT run_id, host, name, count FROM case_passes JOIN hosts ON hosts.id = host_id "
    "JOIN names ON names.id = case_id",
    "notes": "SELECT run_id, host, t, text FROM notes JOIN hosts ON hosts.id = host_id",
}

Place = tuple[str, str]
Tables = dict[str, list[Row]]


@dataclass(frozen=True)
class Evidence:
    """What everybody says. Keys of `journals`, `fetched` and `rows` are run and host; the JSON values are by run."""

    seen: list[Seen]
    journals: dict[Place, bytes]
    fetched: dict[Place, bytes | None]
    rows: dict[Place, list[Row]]
    grown: Tables
    made_anew: Tables
    reports: dict[str, Any]
    statuses: dict[str, Any]
    #: The report of the newest run, from the database that grew and from the one that was made anew.
    newest: tuple[Any, Any]
    processes: dict[int, str]
    outside: dict[str, str]


def gather(scene: Scene) -> Evidence:
    """End all runs, bring everything here, and read it."""
    scene.types("stop")
    runs = scene.run_ids()
    statuses = {run: read_json(scene.types("status", "--run", run, "--format", "json")) for run in runs}
    reports = {run: read_json(scene.types("fetch", "--run", run, "--format", "json")) for run in runs}
    state = scene.campaign.person.cwd / ".sltfleet"
    journals = {
        (run, host): path.read_bytes()
        for run in runs
        for host in HOSTS
        if (path := scene.runs_folder(host) / run / "journal.jsonl").exists()
    }
    fetched = {(run, host): _bytes(state / "runs" / run / host / "journal.jsonl") for run, host in journals}
    database = state / "results.sqlite"
    rows, grown = _rows(database, list(journals)), tables(database)
    before = read_json(scene.types("report", "--format", "json"))
    database.rename(state / "results.sqlite.grown")
    after = read_json(scene.types("report", "--format", "json"))
    folders = {str(scene.runs_folder(host).resolve()): host for host in HOSTS}
    folders |= {str(scene.runs_folder(host)): host for host in HOSTS}
    return Evidence(
        seen=read_log(scene.log.read_text(), folders) if scene.log.exists() else [],
        journals=journals,
        fetched=fetched,
        rows=rows,
        grown=grown,
        made_anew=tables(database),
        reports=reports,
        statuses=statuses,
        newest=(before, after),
        processes=wait_until_none(scene.folder),
        outside=outside(scene),
    )


def read_json(said: Said) -> dict[str, Any]:
    """Return the JSON object that a command printed, {} where it printed none."""
    with contextlib.suppress(ValueError):
        value = json.loads(said.stdout)
        if isinstance(value, dict):
            return value
    return {}


def tables(database: Path) -> Tables:
    """Return the content of the results database, table by table."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {name: connection.execute(query).fetchall() for name, query in _DUMPS.items()}


def _rows(database: Path, places: list[Place]) -> dict[Place, list[Row]]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {
            place: [
                (*row[:-1], None if row[-1] is None else round(row[-1], 6))
                for row in connection.execute(_ATTEMPTS, place)
            ]
            for place in places
        }


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def wait_until_none(folder: Path) -> dict[int, str]:
    """Return the processes of runs below `folder` that are left after the grace, by pid: runners and attempts."""
    deadline_s = time.monotonic() + GRACE_S
    while (found := dict(_processes(folder))) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return found


def _processes(folder: Path) -> Iterator[tuple[int, str]]:
    """Yield what has the folder of runs in its mark or its command: looked for here in /proc, not by sltfleet."""
    mark, command = f"SLTFLEET_RUN_DIR={folder}".encode(), f"{folder}/hosts/".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes()
            if words and (mark in (entry / "environ").read_bytes() or command in words):
                yield int(entry.name), words.replace(b"\0", b" ").decode(errors="replace")[:300]


def outside(scene: Scene) -> dict[str, str]:
    """Return everything below the scene's folder that is not to change: path and digest.

    What changes by right: the project's folder on each host, `.sltfleet` here, sshd's logs, the observer's log, and
    what the soak test itself changes in the repo.
    """
    allowed = [scene.campaign.project_dir(host) for host in HOSTS]
    allowed += [scene.campaign.person.cwd / ".sltfleet", scene.folder / "ssh", scene.log]
    found = {}
    for root, folders, files in os.walk(scene.folder):
        folders[:] = [name for name in folders if Path(root, name) not in allowed]
        for name in (*folders, *files):
            path = Path(root, name)
            if path not in allowed:
                found[str(path.relative_to(scene.folder))] = "ours" if path in scene.changed else _digest(path)
    return found


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no plain file"
