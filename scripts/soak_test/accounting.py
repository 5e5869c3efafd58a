"""What must hold between what the units logged of themselves and what the journals say: pure checks.

Each check returns its discrepancies; none of them is ever a matter of luck. Where a fault explains one (a runner that
was killed before it had written its last lines), it is bounded, and counted in `Excused`. The numbers that commands
print are `claims`'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from soak_test.ledger import Journal, Line
from soak_test.units import CODES, TIMEOUT_S, Seen

#: What /proc/uptime cannot tell apart, twice.
CLOCK_S = 0.03

#: Between the runner's clock and the unit's own lie the start and the end of a shell: milliseconds, and more where the
#: machine is busy with other things. The median is held to less than the single attempt.
SLOWEST_START_S = 10.0
MEDIAN_START_S = 1.0

#: One turn of the runner's loop ends with the journal's write, so a SIGKILL takes no more than a turn's attempts along:
#: the running ones and as many as are reaped in one turn (`REAP_SPARE` in sltfleet/runner/loop.py). A turn takes
#: milliseconds, and more where the machine is busy.
STARTS_PER_TURN_SPARE = 16
TURN_S = 5.0

#: How long before the run's end a unit may have said its last word and yet be cut: the grace after SIGTERM, and some.
LAST_WORD_S = 2.0

#: What the journal says of an attempt that was lost with its runner, in a run that another runner went on with.
BURIED = "the runner was lost"


@dataclass(frozen=True)
class Discrepancy:
    """Something that does not add up: which check, where, and what."""

    check: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.check}: {self.where}: {self.what}"


@dataclass(frozen=True)
class Harm:
    """What was done to a run on a host, in seconds since boot. `pids`: the attempts that were killed by it."""

    kind: str
    run: str
    host: str
    start_s: float
    end_s: float
    pids: frozenset[int] = frozenset()


@dataclass
class Excused:
    """What does not add up and need not: the fault that explains it was done. By reason."""

    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Story:
    """Everything about one run on one host."""

    journal: Journal
    seen: tuple[Seen, ...]
    harms: tuple[Harm, ...]

    def harmed_by(self, *kinds: str) -> tuple[Harm, ...]:
        """Return the harm of some kinds."""
        return tuple(harm for harm in self.harms if harm.kind in kinds)


KILLED, TORN, FROZEN, FULL, ATTEMPTS_KILLED = "killed", "torn", "frozen", "disk-full", "attempts-killed"


def stories(seen: Iterable[Seen], journals: Sequence[Journal], harms: Iterable[Harm]) -> list[Story]:
    """Return what is known by run and host, also where there is no journal."""
    by_place: dict[tuple[str, str], list[Seen]] = {(journal.run, journal.host): [] for journal in journals}
    for one in seen:
        by_place.setdefault((one.run, one.host), []).append(one)
    found = {(journal.run, journal.host): journal for journal in journals}
    all_harms = tuple(harms)
    return [
        Story(
            found.get(place, Journal(*place, ())),
            tuple(attempts),
            tuple(harm for harm in all_harms if (harm.run, harm.host) == place),
        )
        for place, attempts in sorted(by_place.items())
    ]


def check_story(story: Story, excused: Excused) -> list[Discrepancy]:
    """Return every discrepancy of one run on one host."""
    checks = (
        check_lines(story, excused),
        check_starts(story, excused),
        check_ends(story, excused),
        check_verdicts(story),
        check_versions(story),
        check_workers(story),
    )
    return [found for check in checks for found in check]


def check_lines(story: Story, excused: Excused) -> Iterator[Discrepancy]:
    """Every whole line is a JSON object; the first, and no other, is `run-started`; nothing ends or starts twice."""
    journal = story.journal
    if not journal.lines:
        if story.harmed_by(KILLED, TORN):  # what it started meanwhile is held to the bound of one turn
            excused.counts["killed before its first turn was over"] += 1
        else:
            yield Discrepancy("journal-there", journal.where, f"no journal, and {len(story.seen)} attempts were seen")
        return
    for text in journal.bad:
        yield Discrepancy("journal-whole", journal.where, f"a line is no event: {text[:200]!r}")
    if journal.torn and not story.harmed_by(TORN, KILLED, FULL):
        yield Discrepancy("journal-whole", journal.where, f"it ends within a line: {journal.torn[:200]!r}")
    heads = [index for index, line in enumerate(journal.lines) if line["kind"] == "run-started"]
    if heads != [0]:
        yield Discrepancy("journal-whole", journal.where, f"run-started stands in lines {heads}")
    for kind in ("attempt-started", "attempt-finished"):
        for number, count in Counter(line["attempt"] for line in journal.of_kind(kind)).items():
            if count > 1:
                yield Discrepancy("counted-once", journal.where, f"attempt {number} is {count} times {kind}")


def check_starts(story: Story, excused: Excused) -> Iterator[Discrepancy]:
    """What was seen to start is in the journal, with the same pid, unit and worker, or its runner was killed."""
    started = story.journal.started
    for (number, pid), count in Counter((seen.attempt, seen.pid) for seen in story.seen).items():
        if count > 1:
            what = f"attempt {number} was seen to start {count} times as {pid}"
            yield Discrepancy("counted-once", story.journal.where, what)
    lost = []
    for seen in story.seen:
        line = started.get(seen.attempt)
        # Of what a killed runner did not write down, the runner that goes on with the run uses the numbers again.
        if line is None or line["pid"] != seen.pid:
            lost.append(seen)
        elif (line["unit"], line["worker"]) != (seen.unit, seen.worker):
            said = f"the journal has unit {line['unit']} and worker {line['worker']}"
            yield Discrepancy("same-attempt", seen.where, said)
    deaths = story.harmed_by(KILLED, TORN)
    bound = len(deaths) * (int(story.journal.head.get("workers", 0)) + STARTS_PER_TURN_SPARE)
    unexplained = [seen for seen in lost if not any(_just_before(seen, death, story) for death in deaths)]
    for seen in unexplained:
        said = "with another pid" if seen.attempt in started else "not"
        yield Discrepancy(
            "seen-is-journaled", seen.where, f"it is {said} in the journal, and no runner was killed then"
        )
    if len(lost) - len(unexplained) > bound:
        what = f"{len(lost)} attempts were lost with a killed runner, more than one turn starts ({bound})"
        yield Discrepancy("seen-is-journaled", story.journal.where, what)
    excused.counts["started, and lost with its killed runner"] += len(lost) - len(unexplained)


def _just_before(seen: Seen, death: Harm, story: Story) -> bool:
    """Whether the attempt began within the last turn of a runner that was killed."""
    return (
        death.start_s - TURN_S - _frozen_s(story, seen.start_s, death.start_s) <= seen.start_s <= death.end_s + TURN_S
    )


def check_ends(story: Story, excused: Excused) -> Iterator[Discrepancy]:
    """What the journal has as finished was started and seen, and lasted as long; what it does not was lost."""
    journal = story.journal
    seen_by_number = _seen_by_number(story)
    killed = _killed_pids(story)
    buried = 0
    excess_s: list[float] = []
    for number, line in journal.finished.items():
        where = _where(journal, line)
        start = journal.started.get(number)
        if start is None:
            if line["outcome"] != "infra":
                yield Discrepancy("start-and-end", where, f"it ended ({line['outcome']}) and never started")
            elif not story.harmed_by(FULL):
                yield Discrepancy("start-and-end", where, f"infra without a full disk: {line['message']}")
            else:
                excused.counts["not started on a full disk (infra)"] += 1
            continue
        changed = [key for key in ("unit", "worker", "pass_number", "seed") if start[key] != line[key]]
        if changed:
            yield Discrepancy("start-and-end", where, f"{', '.join(changed)} differ from its start")
        if abs(line["t"] - line["duration_s"] - start["t"]) > 0.001:
            yield Discrepancy("start-and-end", where, "end minus duration is not its start")
        seen = seen_by_number.get(number)
        if _was_buried(line):
            buried += 1
        elif seen is None:
            timed_out = line["outcome"] == "timeout" and line["duration_s"] >= TIMEOUT_S - CLOCK_S
            if line["outcome"] == "cut" or timed_out or start["pid"] in killed:
                excused.counts["ended before it could say that it starts"] += 1
            else:
                yield Discrepancy("finished-was-seen", where, f"nobody saw it, and it is {line['outcome']}")
        elif seen.end_s is not None:
            inner_s = seen.end_s - seen.start_s
            more_s = line["duration_s"] - inner_s
            allowed_s = SLOWEST_START_S + _frozen_s(story, seen.start_s, seen.end_s + SLOWEST_START_S)
            if not -CLOCK_S <= more_s <= allowed_s:
                what = f"{line['duration_s']:.3f} s in the journal, {inner_s:.3f} s seen"
                yield Discrepancy("same-duration", where, what)
            if not story.harmed_by(FROZEN):
                excess_s.append(more_s)
    if len(excess_s) >= 20 and median(excess_s) > MEDIAN_START_S:
        what = f"attempts last {median(excess_s):.3f} s longer in the journal than seen, in the median"
        yield Discrepancy("same-duration", journal.where, what)
    yield from _check_unfinished(story, buried, excused)


def _was_buried(line: Line) -> bool:
    """Whether the attempt was lost with its runner, and ended in the journal by the one that went on with the run."""
    return bool(line["outcome"] == "cut" and line["message"] == BURIED)


def _seen_by_number(story: Story) -> dict[int, Seen]:
    """What was seen of the attempts that the journal has, by number."""
    started = story.journal.started
    return {
        seen.attempt: seen
        for seen in story.seen
        if seen.attempt not in started or started[seen.attempt]["pid"] == seen.pid
    }


def _check_unfinished(story: Story, buried: int, excused: Excused) -> Iterator[Discrepancy]:
    journal = story.journal
    open_ends = journal.started.keys() - journal.finished.keys()
    deaths = story.harmed_by(KILLED, TORN)
    if journal.reason is None and not deaths and journal.lines:
        yield Discrepancy("run-ended", journal.where, "the journal has no end, and its runner was not killed")
    bound = len(deaths) * (int(journal.head.get("workers", 0)) + STARTS_PER_TURN_SPARE)
    if len(open_ends) + buried > bound:
        what = f"{len(open_ends) + buried} attempts have no end, or one that was made up; at most {bound} were lost"
        yield Discrepancy("start-and-end", journal.where, what)
    if open_ends and (journal.reason is not None):
        yield Discrepancy(
            "start-and-end", journal.where, f"the run has an end, and attempts {sorted(open_ends)} have none"
        )
    excused.counts["without an end, lost with its killed runner"] += len(open_ends) + buried


def check_verdicts(story: Story) -> Iterator[Discrepancy]:
    """An outcome is what the unit did: its own exit code where it came to an end, else what ended it."""
    seen_by_number = _seen_by_number(story)
    killed = _killed_pids(story)
    ends_s = [line["t"] for line in story.journal.lines if line["kind"] in ("run-finished", "run-resumed")]
    for number, line in story.journal.finished.items():
        seen = seen_by_number.get(number)
        if seen is None or _was_buried(line):
            continue  # told by check_ends
        run_ended = any(0 <= end_s - line["t"] <= LAST_WORD_S for end_s in ends_s)
        allowed = allowed_outcomes(seen, line, was_killed=seen.pid in killed, run_ended=run_ended)
        if line["outcome"] not in allowed:
            what = f"{line['outcome']} ({line['message']!r}); the unit's own code is {seen.code}"
            yield Discrepancy("verdict", _where(story.journal, line), f"{what}, so it is one of {sorted(allowed)}")
        if seen.code is not None and seen.code not in CODES[seen.unit.partition("-")[0]]:
            yield Discrepancy("verdict", _where(story.journal, line), f"the unit ended with {seen.code}: a defect here")
        daemon = seen.unit.startswith("daemon-") and line["outcome"] == "pass"
        if daemon and line["survivors"] < 1 and not killed:
            yield Discrepancy("verdict", _where(story.journal, line), "its daemon was not found")


def allowed_outcomes(seen: Seen, line: Line, *, was_killed: bool, run_ended: bool) -> set[str]:
    """Return the outcomes that an attempt may have, from what its unit said. `run_ended`: just after it."""
    if seen.code is None:
        allowed = {"cut"}
    else:
        allowed = {"crash" if seen.code < 0 else "fail" if seen.code else "pass"}
        if run_ended:
            allowed.add("cut")  # the run's end came between the unit's last word and its exit
    if line["duration_s"] >= TIMEOUT_S - CLOCK_S:
        allowed.add("timeout")
    return allowed | {"crash"} if was_killed else allowed


def check_versions(story: Story) -> Iterator[Discrepancy]:
    """A sync during a run changes nothing in it: all its attempts see one state of the repo."""
    versions = sorted({seen.version for seen in story.seen})
    if len(versions) > 1:
        yield Discrepancy("one-tree", story.journal.where, f"its attempts saw the repo's versions {versions}")


def check_workers(story: Story) -> Iterator[Discrepancy]:
    """No worker runs two attempts at a time: by the units' own clock."""
    last: dict[int, Seen] = {}
    for _, seen in sorted(_seen_by_number(story).items()):
        before = last.get(seen.worker)
        if before is not None and before.end_s is not None and seen.start_s < before.end_s - CLOCK_S:
            yield Discrepancy("one-at-a-time", seen.where, f"it began before attempt {before.attempt} had ended")
        last[seen.worker] = seen


#: How far claimed and observed occupancy of an unharmed run may be apart, beside the starts and ends of shells.
OCCUPANCY_BOUND = 0.02


def check_occupancy(story: Story, claimed: float) -> Iterator[Discrepancy]:
    """The occupancy that `report` claims of a run that nobody harmed, against the units' own clock.

    The units' log lacks the start and the end of each shell, so it says less: by so much as the two clocks differ
    attempt by attempt, which `check_ends` bounds.
    """
    journal = story.journal
    if story.harms or journal.reason != "budget":
        return
    worker_s = journal.head["workers"] * journal.head["budget_s"]
    observed, shells = seen_busy_s(story) / worker_s, shells_s(story) / worker_s
    if not -OCCUPANCY_BOUND <= claimed - observed <= shells + OCCUPANCY_BOUND:
        what = f"claimed {claimed:.1%}; the units were busy {observed:.1%} of the workers' time, shells {shells:.1%}"
        yield Discrepancy("occupancy", journal.where, what)


def seen_busy_s(story: Story) -> float:
    """Return how long the units were busy by their own clock.

    One that was ended from outside has no end of its own: it was busy as long as the journal says.
    """
    ends = {line["attempt"]: line["t"] - start["t"] for line, start in _pairs(story.journal)}
    busy_s = 0.0
    for seen in story.seen:
        if seen.end_s is not None:
            busy_s += seen.end_s - seen.start_s
        else:
            busy_s += ends.get(seen.attempt, 0.0)
    return busy_s


def shells_s(story: Story) -> float:
    """Return by how much all attempts together were longer for the runner than by the units' own clock."""
    finished = story.journal.finished
    seen_by_number = _seen_by_number(story)
    return sum(
        float(line["duration_s"]) - (0.0 if seen is None or seen.end_s is None else seen.end_s - seen.start_s)
        for number, line in finished.items()
        if (seen := seen_by_number.get(number)) is None or seen.end_s is not None
    )


def _pairs(journal: Journal) -> Iterator[tuple[Line, Line]]:
    budget_s = journal.head["budget_s"]
    started = journal.started
    for number, line in journal.finished.items():
        if number in started:
            yield {**line, "t": min(line["t"], budget_s)}, started[number]


def _where(journal: Journal, line: Mapping[str, object]) -> str:
    return f"{journal.where} attempt {line['attempt']} ({line['unit']})"


def _killed_pids(story: Story) -> frozenset[int]:
    return frozenset(pid for harm in story.harmed_by(ATTEMPTS_KILLED) for pid in harm.pids)


def _frozen_s(story: Story, start_s: float, end_s: float) -> float:
    """For how long the runner was frozen (SIGSTOP) in a time."""
    overlaps = (min(end_s, harm.end_s) - max(start_s, harm.start_s) for harm in story.harmed_by(FROZEN))
    return sum(max(0.0, overlap) for overlap in overlaps)
