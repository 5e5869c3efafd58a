"""A fleet of a local host and one over ssh for the tests of `fetch`, and what lies on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sltfleet.app.fetch import FetchResult, fetch
from sltfleet.app.fleet import Fleet
from sltfleet.app.progress import ProgressEvent, Warned
from sltfleet.core.fetching import FetchLimits
from tests.support.journals import RUN_ID, JournalBuilder

SUITES = {"slt": {"build": {"test": "slt"}, "units": {"kind": "files", "root": "t"}}}


@dataclass
class Scene:
    """A fleet of a local host and one over ssh, and what lies on them."""

    fleet: Fleet
    folder: Path
    events: list[ProgressEvent] = field(default_factory=list)

    def project(self, host: str) -> Path:
        return self.folder / f"root of {host}" / "sample"

    def run_folder(self, host: str, run_id: str = RUN_ID) -> Path:
        return self.project(host) / "runs" / run_id

    def put_run(self, host: str, run_id: str = RUN_ID, *, journal: JournalBuilder | None = None) -> Path:
        """Put a run as a runner leaves it onto a host, with all that is not to be fetched, and return its folder."""
        folder = self.run_folder(host, run_id)
        (folder / "artifacts" / "last").mkdir(parents=True)
        (folder / "tree" / "src").mkdir(parents=True)
        (folder / "tree" / "src" / "secret.rs").write_text("fn main() {}")
        (folder / "workers" / "0").mkdir(parents=True)
        for name in ("spec.json", "state.json", "runner.log", "identity"):
            (folder / name).write_text(f"{name} of {host}")
        (folder / "artifacts" / "attempt-2.out").write_text("assertion failed\n")
        (folder / "artifacts" / "last" / "a.test-0123.out").write_text("ok\n")
        filled = journal or JournalBuilder(run_id=run_id, host=host).attempt(0, "a.test", 0, 5).finish(100)
        (folder / "journal.jsonl").write_bytes(filled.data)
        (self.project(host) / "current").write_text(run_id + "\n")
        return folder

    def fetch(self, run_id: str | None = None, limits: FetchLimits | None = None) -> FetchResult:
        return fetch(self.fleet, run_id, self.events.append, limits=limits)

    def fetched(self, host: str, run_id: str = RUN_ID) -> Path:
        return self.fleet.paths.host(run_id, host)

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Warned)]

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(event.host, event.text, event.fix) for event in self.events if isinstance(event, Warned)]
