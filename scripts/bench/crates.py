"""Makes and builds a libtest suite of tests that sleep, and reads the log that they keep of their own start and end.

The log is the one witness that neither sltfleet nor a peer can flatter: it is written by the tests.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sltfleet.wire.spec import LibtestBinary, LibtestUnits

#: As cargo-nextest names the test executable.
BINARY_ID = "sleepers::sleepers"

MANIFEST = '[package]\nname = "sleepers"\nversion = "0.0.0"\nedition = "2021"\n\n[workspace]\n'

HEAD = """\
use std::{env, fs::OpenOptions, io::Write, thread, time::{Duration, SystemTime}};

fn log(what: &str, name: &str) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let path = env::var("SLEEPERS_LOG").unwrap();
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    // One write, so that lines of tests that run at the same time do not mix.
    file.write_all(format!("{what} {name} {} {now:.6}\\n", std::process::id()).as_bytes()).unwrap();
}

fn sleeper(name: &str, milliseconds: u64) {
    log("start", name);
    thread::sleep(Duration::from_millis(milliseconds));
    log("end", name);
}
"""


@dataclass(frozen=True)
class Crate:
    """A built suite: `durations_s` of its tests by name, and the test executable."""

    folder: Path
    binary: Path
    durations_s: Mapping[str, float]


@dataclass(frozen=True)
class Span:
    """One execution of a test by its own log; `end_s` None: it was ended before it could tell. Seconds since 1970."""

    test: str
    start_s: float
    end_s: float | None


def make_crate(folder: Path, durations_s: Mapping[str, float]) -> Crate:
    """Write and build the suite. Raises SystemExit with cargo's words where it cannot be built."""
    (folder / "src").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "Cargo.toml").write_text(MANIFEST)
    (folder / "src" / "lib.rs").write_text("")
    tests = [
        f'#[test]\nfn {name}() {{\n    sleeper("{name}", {round(seconds * 1000)});\n}}\n'
        for name, seconds in durations_s.items()
    ]
    (folder / "tests" / "sleepers.rs").write_text("\n".join([HEAD, *tests]))
    argv = ["cargo", "test", "--no-run", "--offline", "--test", "sleepers", "--message-format", "json"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    binary = next(message["executable"] for message in messages if message.get("executable"))
    return Crate(folder, Path(binary), durations_s)


def libtest_units(crate: Crate) -> LibtestUnits:
    """Return a unit per test, a process each: what `units.kind: libtest` is without batches."""
    digest = hashlib.sha256(crate.binary.read_bytes()).hexdigest()
    return LibtestUnits((LibtestBinary(BINARY_ID, str(crate.binary), digest, package_dir=""),))


def unit_id(test: str) -> str:
    """Return the id of a test's unit."""
    return f"{BINARY_ID}::{test}"


def read_log(path: Path) -> list[Span]:
    """Return what the tests said, in the order of their starts."""
    starts: dict[tuple[str, str], float] = {}
    ends: dict[tuple[str, str], float] = {}
    for line in path.read_text().splitlines():
        what, test, pid, at_s = line.split(" ")
        (starts if what == "start" else ends)[test, pid] = float(at_s)
    spans = [Span(test, at_s, ends.get((test, pid))) for (test, pid), at_s in starts.items()]
    return sorted(spans, key=lambda span: span.start_s)


def occupancy(spans: list[Span], workers: int, window_s: float) -> float:
    """Return busy worker-seconds / (workers x window), in percent; the window begins with the first start.

    A test that did not tell its end was busy until the window's.
    """
    begin_s = min(span.start_s for span in spans)
    end_s = begin_s + window_s
    busy_s = sum(max(0.0, min(span.end_s if span.end_s is not None else end_s, end_s) - span.start_s) for span in spans)
    return 100.0 * busy_s / (workers * window_s)


def makespan(spans: list[Span]) -> float:
    """Return the seconds from the first start to the last end."""
    return max(span.end_s or span.start_s for span in spans) - min(span.start_s for span in spans)
