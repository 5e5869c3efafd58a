"""Where everything of a run and of a project lies on the host. Names only: nothing is read, made or checked here.

`RunPaths` is one run's folder, `ProjectPaths` the host's project folder, the parent of `runs/`.
"""

from __future__ import annotations

import os


class RunPaths:
    """The files and folders below one run's folder."""

    def __init__(self, run_dir: str) -> None:
        self.root = os.path.abspath(run_dir)
        self.spec = os.path.join(self.root, "spec.json")
        self.journal = os.path.join(self.root, "journal.jsonl")
        self.state = os.path.join(self.root, "state.json")
        #: What is known of the other hosts of the run, with the queue's secret.
        self.share = os.path.join(self.root, "share.json")
        #: What `prepare` answered: written when all the rest is there.
        self.prepared = os.path.join(self.root, "prepared.json")
        #: What programs listed as units at the launch.
        self.listed = os.path.join(self.root, "listed.json")
        self.identity = os.path.join(self.root, "identity")
        self.log = os.path.join(self.root, "runner.log")
        #: The hard-linked snapshot of the repo.
        self.tree = os.path.join(self.root, "tree")
        self.bin = os.path.join(self.root, "bin")
        #: What attempts print while they run.
        self.slots = os.path.join(self.root, "slots")
        #: Locked while an attempt of the run is run again: two of them would write into the same files.
        self.repro_lock = os.path.join(self.root, "repro.lock")
        #: The workers' own views of the tree.
        self.workers = os.path.join(self.root, "workers")
        self.artifacts = os.path.join(self.root, "artifacts")
        #: Of passing attempts: the last output of each unit.
        self.last = os.path.join(self.artifacts, "last")

    def binary(self, built: str) -> str:
        """The run's copy of the executable that was built as `built`."""
        return os.path.join(self.bin, os.path.basename(built))

    def view(self, worker: int) -> str:
        """The worker's own view of the tree."""
        return os.path.join(self.workers, str(worker))


class ProjectPaths:
    """The files of a project that all its runs on this host share."""

    def __init__(self, project_root: str) -> None:
        self.root = os.path.abspath(project_root)
        #: Locked by the active runner for its whole life: this is what "active" means.
        self.lock = os.path.join(self.root, "run.lock")
        #: Locked while a launch is under way, so that two of them cannot both find the project free.
        self.launch_lock = os.path.join(self.root, "launch.lock")
        #: Holds the id of the latest run.
        self.current = os.path.join(self.root, "current")
