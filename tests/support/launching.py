"""A host's project folder, and a small Python script in the place of the runner's zipapp that answers as it is told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sltfleet.core.launching import (
    launch_prepared_script,
    launch_script,
    prepare_script,
    stop_script,
)
from sltfleet.core.paths import HostPaths
from tests.support.shell import Answer, run_script
from tests.support.states import RUN_ID

#: Prints how it was called, where no answer is asked of it: `answer` in its folder is JSON of (line, exit code).
RUNNER = b"""
import json, os, sys
folder = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))
with open(os.path.join(folder, "calls"), "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
with open(os.path.join(folder, "answer")) as file:
    line, code = json.load(file)
sys.stdout.write(line)
sys.exit(code)
"""


DIGEST = hashlib.sha256(RUNNER).hexdigest()


ARCHIVE = ("runner-0123.pyz", DIGEST, RUNNER)


SPEC = '{"unit": "a b\'c\\"d $x `é`.test"}'.encode()


class Host:
    """A host's project folder whose runner answers as it is told."""

    def __init__(self, root: Path) -> None:
        self.paths = HostPaths(str(root), "sample")
        self.folder = root / "sample"
        self.folder.mkdir()
        self.run_dir = self.folder / "runs" / RUN_ID
        self.archive = self.folder / "bin" / ARCHIVE[0]

    def will_say(self, line: str, exit_code: int = 0) -> None:
        (self.folder / "answer").write_text(json.dumps([line, exit_code]))

    def launch(self, archive: tuple[str, str, bytes] = ARCHIVE, path: str | None = None) -> Answer:
        return run_script(launch_script(self.paths, RUN_ID, archive, SPEC), path=path)

    def prepare(self) -> Answer:
        return run_script(prepare_script(self.paths, RUN_ID, ARCHIVE, SPEC))

    def launch_prepared(self, share: bytes | None) -> Answer:
        return run_script(launch_prepared_script(self.paths, RUN_ID, ARCHIVE, share))

    def stop(self, run_id: str | None) -> Answer:
        return run_script(stop_script(self.paths, run_id, ARCHIVE, 1.5))

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
