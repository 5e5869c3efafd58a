"""Alternating repetitions, and the figures that are made of them. Knows nothing of what is measured.

A shared machine is slower at one moment than at the next, so contestants take turns, each repetition begins with
another one, and a ratio is the median of the ratios within the repetitions, never a ratio of two medians.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

#: What one execution of a contestant measured, by name.
Measured = Mapping[str, float]
Contestant = Callable[[], Measured]


@dataclass(frozen=True)
class Goal:
    """A bound that is aimed at: on the ratio to a peer, or (peer "") on the value itself."""

    bound: float
    at_least: bool = False
    peer: str = ""

    def reached(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}{' x ' + self.peer if self.peer else ''}"


@dataclass(frozen=True)
class Figure:
    """One quantity: ours and the peers', each with one value per repetition, in the order of the repetitions."""

    name: str
    unit: str
    ours: Sequence[float]
    peers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    goals: Sequence[Goal] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.ours)

    def ratio(self, peer: str) -> float:
        """The median over the repetitions of ours / the peer's; infinite where the peer has 0."""
        pairs = zip(self.ours, self.peers[peer], strict=True)
        return statistics.median(own / other if other else float("inf") for own, other in pairs)

    def judged(self, goal: Goal) -> float:
        """The value that the goal speaks of."""
        return self.ratio(goal.peer) if goal.peer else self.median


@dataclass(frozen=True)
class Result:
    """A benchmark's figures, and what a reader must know of them."""

    figures: Sequence[Figure]
    notes: Sequence[str] = ()


def alternate(contestants: Mapping[str, Contestant], repetitions: int) -> dict[str, dict[str, list[float]]]:
    """Run all contestants `repetitions` times by turns; return contestant -> what was measured -> values."""
    names = list(contestants)
    series: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for repetition in range(repetitions):
        first = repetition % len(names)
        for name in names[first:] + names[:first]:
            measured = contestants[name]()
            told = ", ".join(f"{key} {value:.4g}" for key, value in measured.items())
            print(f"{repetition + 1}/{repetitions} {name}: {told}", file=sys.stderr)
            for key, value in measured.items():
                series[name].setdefault(key, []).append(value)
    return series


def lines(result: Result) -> list[str]:
    """Return the result as text: per figure ours, per peer its value and the ratio, per goal whether it is reached."""
    text: list[str] = []
    for figure in result.figures:
        text.append(f"{figure.name:42} {_told(figure.ours, figure.unit)}")
        for peer, values in figure.peers.items():
            text.append(f"    {peer:38} {_told(values, figure.unit)}   ratio {figure.ratio(peer):.3f}")
        for goal in figure.goals:
            value = figure.judged(goal)
            verdict = "reached" if goal.reached(value) else "NOT reached"
            text.append(f"    goal {goal!s:33} {value:10.4g}   {verdict}")
    return text + [f"note: {note}" for note in result.notes]


def as_json(result: Result) -> dict[str, object]:
    """Return the result as a JSON value, medians and ratios included."""
    figures = []
    for figure in result.figures:
        goals = [
            {**asdict(goal), "value": figure.judged(goal), "reached": goal.reached(figure.judged(goal))}
            for goal in figure.goals
        ]
        figures.append(
            {
                "name": figure.name,
                "unit": figure.unit,
                "median": figure.median,
                "ours": list(figure.ours),
                "peers": {
                    peer: {
                        "median": statistics.median(values),
                        "ratio": _finite(figure.ratio(peer)),
                        "values": list(values),
                    }
                    for peer, values in figure.peers.items()
                },
                "goals": goals,
            }
        )
    return {"figures": figures, "notes": list(result.notes)}


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None


def _told(values: Sequence[float], unit: str) -> str:
    return f"{statistics.median(values):10.4g} {unit:4} ({min(values):.4g} to {max(values):.4g}, n={len(values)})"
