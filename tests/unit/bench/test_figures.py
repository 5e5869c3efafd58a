"""Ratios, medians and goals of the benchmarks."""

from __future__ import annotations

import json

import pytest
from bench.figures import Figure, Goal, Result, alternate, as_json, lines


def test_a_ratio_is_the_median_of_the_ratios_within_the_repetitions() -> None:
    figure = Figure("elapsed", "s", ours=[1.0, 10.0, 2.0], peers={"peer": [2.0, 20.0, 1.0]})
    assert figure.median == 2.0
    assert figure.ratio("peer") == 0.5


def test_contestants_take_turns_and_each_repetition_begins_with_another_one() -> None:
    order: list[str] = []

    def contestant(name: str) -> dict[str, float]:
        order.append(name)
        return {"s": float(len(order))}

    series = alternate({name: lambda name=name: contestant(name) for name in "abc"}, 3)  # type: ignore[misc]
    assert order == list("abcbcacab")
    assert series["a"]["s"] == [1.0, 6.0, 8.0]


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [
        (Goal(1.1), 1.1, True),
        (Goal(1.1), 1.2, False),
        (Goal(99.5, at_least=True), 99.5, True),
        (Goal(99.5, at_least=True), 99.4, False),
    ],
)
def test_a_bound_itself_reaches_the_goal(goal: Goal, value: float, reached: bool) -> None:
    assert goal.reached(value) is reached


def test_what_falls_short_is_said_in_the_text_and_in_the_json() -> None:
    result = Result([Figure("f", "s", [3.0], {"peer": [2.0]}, [Goal(1.1, peer="peer")])], ["why"])
    assert any("NOT reached" in line and "<= 1.1 x peer" in line for line in lines(result))
    assert lines(result)[-1] == "note: why"
    figures = as_json(result)["figures"]
    assert isinstance(figures, list)
    assert figures[0]["goals"] == [{"bound": 1.1, "at_least": False, "peer": "peer", "value": 1.5, "reached": False}]


def test_a_peer_that_measured_nothing_leaves_valid_json() -> None:
    result = Result([Figure("f", "", [3.0], {"peer": [0.0]})])
    assert json.loads(json.dumps(as_json(result), allow_nan=False))["figures"][0]["peers"]["peer"]["ratio"] is None
