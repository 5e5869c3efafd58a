"""What is done to the fleet, and when: a pure function of the seed and a round's number.

A round is one run with the harm that is done during it. Nothing here depends on the machine, so that a seed means the
same everywhere; what a machine cannot do is left out when its time comes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

HOSTS = ("alpha", "beta", "gamma")

KILL_RUNNER = "kill-runner"
TEAR_JOURNAL = "tear-journal"
STOP_RUNNER = "stop-runner"
KILL_ATTEMPTS = "kill-attempts"
DROP_SESSIONS = "drop-sessions"
SSHD_DOWN = "sshd-down"
DISK_FULL = "disk-full"
SYNC_CHANGED = "sync-changed"
KILL_COMMAND = "kill-command"
INTERRUPT_COMMAND = "interrupt-command"
SECOND_RUN = "second-run"
REPLACE_RUN = "replace-run"
RESUME = "resume"
LOOK = "look"

#: How often each is drawn, relative to the others.
WEIGHTS = {
    KILL_RUNNER: 4,
    TEAR_JOURNAL: 3,
    STOP_RUNNER: 3,
    KILL_ATTEMPTS: 3,
    DROP_SESSIONS: 4,
    SSHD_DOWN: 3,
    DISK_FULL: 4,
    SYNC_CHANGED: 3,
    KILL_COMMAND: 4,
    INTERRUPT_COMMAND: 4,
    SECOND_RUN: 2,
    REPLACE_RUN: 1,
    RESUME: 4,
    LOOK: 3,
}

#: They end the runner: what it had not written yet is gone with it, so a host with a full disk is spared them (all of
#: what it did since would be).
DEADLY = frozenset((KILL_RUNNER, TEAR_JOURNAL))

#: They go on for a while and are undone then.
LASTING = frozenset((STOP_RUNNER, SSHD_DOWN, DISK_FULL))

#: They are about the controller, not about one host.
FLEET_WIDE = frozenset((SYNC_CHANGED, KILL_COMMAND, INTERRUPT_COMMAND, SECOND_RUN, REPLACE_RUN, RESUME, LOOK))

#: Commands that are killed, interrupted, and whose connections are cut.
COMMANDS = (
    ("status", "--format", "json"),
    ("fetch", "--format", "json"),
    ("sync",),
    ("logs",),
    ("logs", "--runner"),
    ("run", "--detach"),
)
LOOKS = (("status", "-v"), ("status", "--format", "json"), ("logs",), ("logs", "--failed"), ("fetch",))


@dataclass(frozen=True)
class Fault:
    """One fault: `at_s` after the round began. `host` is "" for one of the controller; `words` are what it types."""

    at_s: float
    kind: str
    host: str = ""
    #: How long it lasts; for a command that is killed or interrupted, after how long.
    lasts_s: float = 0.0
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.kind, self.host, " ".join(self.words), f"{self.lasts_s:.1f} s" if self.lasts_s else ""]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Round:
    """One run. `watched`: its controller stays, so that there are two or more at once.

    `while_it_runs`: the round's clock begins when there is a runner, else when the run is typed.
    """

    number: int
    seed: int
    workers: int
    budget_s: float
    watched: bool
    while_it_runs: bool
    #: The repo is changed and synced before it.
    synced: bool
    faults: tuple[Fault, ...]


def round_of(seed: int, number: int) -> Round:
    """Return the round `number`, from 1 on. The first one is without any harm: it says what unharmed numbers are."""
    chance = random.Random(f"{seed}:{number}")
    budget_s = round(chance.uniform(4.0, 9.0), 1)
    faults = [_fault(chance, budget_s) for _ in range(chance.randint(3, 8))] if number > 1 else []
    return Round(
        number=number,
        seed=chance.getrandbits(31),
        workers=chance.randint(1, 3),
        budget_s=budget_s,
        watched=chance.random() < 0.3,
        while_it_runs=chance.random() < 0.7,
        synced=number == 1 or chance.random() < 0.5,
        faults=_bearable(sorted(faults, key=lambda fault: fault.at_s)),
    )


def _fault(chance: random.Random, budget_s: float) -> Fault:
    kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    host = chance.choice(HOSTS)
    # Also while the run is being started, and after its end.
    at_s = round(chance.uniform(0.0, budget_s + 3.0), 2)
    lasts_s = round(chance.uniform(0.5, 4.0), 1) if kind in LASTING else 0.0
    words: tuple[str, ...] = ()
    if kind == DROP_SESSIONS:
        words = chance.choice(COMMANDS)
    elif kind in (KILL_COMMAND, INTERRUPT_COMMAND):
        words, lasts_s = chance.choice(COMMANDS), round(chance.uniform(0.05, 2.5), 2)
    elif kind == LOOK:
        words = chance.choice(LOOKS)
    return Fault(at_s, kind, "" if kind in FLEET_WIDE else host, lasts_s, words)


def _bearable(faults: list[Fault]) -> tuple[Fault, ...]:
    """Take out what does not go together: a deadly fault on a host whose disk is full in the round, a lasting one upon
    itself.
    """
    full = {fault.host for fault in faults if fault.kind == DISK_FULL}
    kept: list[Fault] = []
    until_s: dict[tuple[str, str], float] = {}
    for fault in faults:
        key = (fault.kind, fault.host)
        if (fault.kind in DEADLY and fault.host in full) or (
            fault.kind in LASTING and fault.at_s <= until_s.get(key, -1)
        ):
            continue
        until_s[key] = fault.at_s + fault.lasts_s
        kept.append(fault)
    return tuple(kept)
