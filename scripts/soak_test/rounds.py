"""One round after the other: sync, run, the plan's faults while it runs, what a person does then, fetch."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from soak_test.accounting import Discrepancy
from soak_test.evidence import read_json
from soak_test.faults import NOTHING, Undo, do
from soak_test.plan import HOSTS, Fault, Round, round_of
from soak_test.scene import Scene, now_s

#: A runner ends so long after its budget: the grace of its attempts, a frozen second, a disk that was full.
ENDS_WITHIN_S = 40.0

#: A run that has not begun after so long was refused.
STARTS_WITHIN_S = 20.0

_STEP_S = 0.02


@dataclass
class Campaigner:
    """Plays rounds on a scene. `done` counts the faults by kind."""

    scene: Scene
    tell: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    found: list[Discrepancy] = field(default_factory=list)

    def play_until(self, seed: int, deadline_s: float) -> None:
        """Play rounds until the time (monotonic) is over. The last one is played to its end."""
        for number in itertools.count(1):
            if time.monotonic() >= deadline_s:
                return
            self.rounds = number
            self._play(round_of(seed, number))

    def _play(self, played: Round) -> None:
        scene = self.scene
        if played.synced:
            scene.change_repo()
            scene.types("sync")
        words = ["run", "--budget", f"{played.budget_s}s", "--workers", str(played.workers)]
        words += ["--seed", str(played.seed)]
        begun = scene.begin(*words, *(() if played.watched else ("--detach",)))
        self.tell(f"round {played.number}: sltfleet {' '.join(begun.words)}")
        self._do_all(played)
        scene.finish(begun)
        self._wait_for_runners()
        scene.finish_all()
        self._pick_up()
        scene.types("fetch", "--format", "json")

    def _do_all(self, played: Round) -> None:
        """Do the faults when their time comes, and undo those that last; all are undone when this returns."""
        if played.while_it_runs:
            self._wait_for_a_runner()
        start_s = time.monotonic()
        to_do = list(played.faults)
        to_undo: list[tuple[float, int, Undo]] = []
        order = itertools.count()
        try:
            while to_do or to_undo:
                elapsed_s = time.monotonic() - start_s
                if to_undo and to_undo[0][0] <= elapsed_s:
                    heapq.heappop(to_undo)[2]()
                elif to_do and to_do[0].at_s <= elapsed_s:
                    fault = to_do.pop(0)
                    undo = self._do(fault)
                    if undo is not None:
                        heapq.heappush(to_undo, (time.monotonic() - start_s + fault.lasts_s, next(order), undo))
                else:
                    time.sleep(_STEP_S)
        finally:
            # After Ctrl-C a host that is down or a runner that is frozen must not stay so.
            for _, _, undo in to_undo:
                undo()

    def _do(self, fault: Fault) -> Undo | None:
        said, undo = do(self.scene, fault)
        self.tell(f"  {now_s():.1f} {fault}: {said}")
        if said != NOTHING:
            self.done[fault.kind] += 1
        return undo

    def _wait_for_a_runner(self) -> None:
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline_s and not any(self.scene.runner(host) for host in HOSTS):
            time.sleep(_STEP_S)

    def _wait_for_runners(self) -> None:
        deadline_s = time.monotonic() + ENDS_WITHIN_S
        while alive := [host for host in HOSTS if self.scene.runner(host) is not None]:
            if time.monotonic() > deadline_s:
                for host in alive:
                    where = f"{self.scene.current(host)} {host}"
                    self.found.append(Discrepancy("run-ends", where, "the runner goes on long after its budget"))
                return
            time.sleep(_STEP_S)

    def _pick_up(self) -> None:
        """Do what a person does who sees a lost runner in `status`: go on with the run, or end what is left."""
        said = self.scene.types("status", "--format", "json")
        hosts = read_json(said).get("hosts", [])
        lost = sorted({host["run"] for host in hosts if host["state"] == "lost"})
        for run in lost:
            if self.scene.resumes:
                self.tell(f"  {now_s():.1f} sltfleet resume {run}")
                self.scene.types("resume", run)
                self._wait_for_runners()
            else:
                self.tell(f"  {now_s():.1f} sltfleet stop --run {run}")
                self.scene.types("stop", "--run", run)
