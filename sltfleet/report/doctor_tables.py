"""The table, the findings and the JSON of `doctor`.

The JSON's shape is stable: `{"controller": [FINDING…], "hosts": [{"host", "level", "findings": [FINDING…], "skew",
"queue_round_trip_s", "facts"}…]}` with FINDING = `{"level": "ok"|"note"|"warning"|"error", "check", "text", "fix"}` and
`skew` = `{"offset_s", "uncertainty_s"}`. `skew` and `facts` are null where the host could not be asked,
`queue_round_trip_s` also without a queue; the keys of `facts` are the fields of `core.facts.HostFacts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate

from sltfleet.core.diagnosis import HostDiagnosis
from sltfleet.core.facts import HostFacts
from sltfleet.core.findings import Finding, Level
from sltfleet.core.installing import Command
from sltfleet.core.queue_check import milliseconds
from sltfleet.core.size import format_size
from sltfleet.report.sanitize import visible
from sltfleet.report.terminal import BAD, DIM, GOOD, WARN, style

_HEADERS = ("host", "verdict", "system", "cores", "memory", "disk", "rust", "python")

_COLOURS = {Level.OK: GOOD, Level.NOTE: DIM, Level.WARNING: WARN, Level.ERROR: BAD}

#: The name under which the controller's own findings are listed.
CONTROLLER = "this machine"


def doctor_table(diagnoses: Sequence[HostDiagnosis]) -> str:
    """Return one row per host: the verdict, and what it has to offer."""
    queue = any(diagnosis.queue_round_trip_s is not None for diagnosis in diagnoses)
    rows = [
        (
            visible(diagnosis.host),
            _verdict(diagnosis),
            *_offers(diagnosis.facts),
            *([_round_trip(diagnosis.queue_round_trip_s)] if queue else []),
        )
        for diagnosis in diagnoses
    ]
    return tabulate(rows, headers=(*_HEADERS, *(["queue"] if queue else [])), disable_numparse=True)


def doctor_lines(
    controller: Sequence[Finding], diagnoses: Sequence[HostDiagnosis], *, verbose: bool = False
) -> list[str]:
    """Return each finding that is not fine, worst first, its fix below it; with `verbose` the fine ones as well."""
    places = [(CONTROLLER, controller), *((diagnosis.host, diagnosis.findings) for diagnosis in diagnoses)]
    return [line for place, findings in places for line in _place_lines(place, findings, verbose)]


def doctor_json(controller: Sequence[Finding], diagnoses: Sequence[HostDiagnosis]) -> dict[str, object]:
    """Return the JSON value of `doctor --format json`, in the shape of this module's first paragraph."""
    return {
        "controller": [finding.to_json() for finding in controller],
        "hosts": [diagnosis.to_json() for diagnosis in diagnoses],
    }


def setup_json(done: Mapping[str, tuple[Sequence[Command], HostDiagnosis | None]]) -> list[dict[str, object]]:
    """Return the JSON value of `setup --format json`: per host the commands that were run, or would be, and how it is
    now (null for a dry run).
    """
    return [
        {
            "host": host,
            "commands": [{"title": command.title, "argv": list(command.argv)} for command in commands],
            "diagnosis": diagnosis.to_json() if diagnosis else None,
        }
        for host, (commands, diagnosis) in done.items()
    ]


def worst_level(controller: Iterable[Finding], diagnoses: Iterable[HostDiagnosis]) -> Level:
    """Return the worst level of all; Level.ERROR makes doctor's exit code."""
    levels = [finding.level for finding in controller] + [diagnosis.level for diagnosis in diagnoses]
    return max(levels, default=Level.OK)


def _place_lines(place: str, findings: Iterable[Finding], verbose: bool) -> list[str]:
    shown = [finding for finding in findings if verbose or finding.level > Level.OK]
    lines: list[str] = []
    for finding in sorted(shown, key=lambda finding: -finding.level):
        level = style(str(finding.level), _COLOURS[finding.level])
        lines.append(f"{level} {visible(place)}: {finding.check}: {visible(finding.text)}")
        first, *rest = finding.fix.split("\n")
        lines += [f"  fix: {visible(first)}", *(f"       {visible(line)}" for line in rest)] if finding.fix else []
    return lines


def _verdict(diagnosis: HostDiagnosis) -> str:
    count = sum(finding.level is diagnosis.level for finding in diagnosis.findings)
    if diagnosis.level is Level.OK:
        return style("ready", GOOD)
    plural = "s" if count != 1 else ""
    return style(f"{count} {diagnosis.level}{plural}", _COLOURS[diagnosis.level])


def _round_trip(seconds: float | None) -> str:
    return "-" if seconds is None else milliseconds(seconds)


def _offers(facts: HostFacts | None) -> tuple[str, ...]:
    if facts is None:
        return ("-",) * (len(_HEADERS) - 2)
    free = facts.filesystem.free_bytes
    available = facts.memory.available_bytes
    cores = facts.cores.usable
    python = facts.python
    return (
        visible(facts.distribution_name or facts.system or "-", limit=32),
        "-" if cores is None else f"{cores:g}",
        "-" if available is None else format_size(available),
        "-" if free is None else format_size(free),
        visible(facts.cargo.says.removeprefix("cargo ").partition(" ")[0], limit=12) if facts.cargo else "-",
        ".".join(map(str, python.version)) if python and python.version else "-",
    )
