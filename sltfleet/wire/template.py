"""Placeholders in braces, in the environment, the arguments and the verdict path of a suite.

Only the names below are known, and only plain `{name}`: no attribute, index or format specification, so that text from
fleet.yaml can never reach into a Python object. `{{` and `}}` stand for braces.
"""

from __future__ import annotations

import re
from typing import Dict, Mapping

#: Every placeholder, and what it stands for. The reference in docs/fleet-yaml.md is made from this.
PLACEHOLDERS: Dict[str, str] = {
    "unit": "the unit's id: for `files` the file's path below `units.root`, for `partitions` `K/N`, for `libtest`"
    " `PACKAGE::TARGET::TEST`, for `command` the item, the line or the file",
    "path": "a unit that is a file: its absolute path in the run's tree; otherwise empty",
    "partition": "`partitions`: the number of this share, counted from `units.first`; otherwise empty",
    "partitions": "`partitions`: how many shares there are; otherwise empty",
    "test": "`libtest`: the test's name in its executable; otherwise empty",
    "binary": "the absolute path of the executable, as copied for the run; empty where nothing was built",
    "worker": "the worker's number, from 0",
    "workers": "how many workers the host runs",
    "pass": "the number of the pass, from 1",
    "attempt": "the number of the attempt on this host, from 1",
    "seed": "the seed of this attempt's pass: the run's own in the first pass, derived from it later",
    "timeout": "the seconds this attempt may take, as a whole number (at least 1)",
    "budget": "the seconds left of the run's budget, as a whole number (at least 1)",
    "run": "the run's id",
}

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TemplateError(ValueError):
    """A text has an unknown placeholder or a lone brace."""


def check_template(text: str) -> None:
    """Raise TemplateError where `text` is no valid template."""
    expand_template(text, dict.fromkeys(PLACEHOLDERS, ""))


def expand_template(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with every placeholder replaced by its value. Raises TemplateError."""
    if "{" not in text and "}" not in text:
        return text

    def replace(match: "re.Match[str]") -> str:
        token = match.group(0)
        if token in ("{{", "}}"):
            return token[0]
        name = match.group(1)
        if name is None:
            raise TemplateError(f"a lone {token!r} in {text!r}: write {token * 2!r} for a brace")
        if name not in values:
            raise TemplateError(f"unknown placeholder {{{name}}} in {text!r}: known are " + ", ".join(PLACEHOLDERS))
        return values[name]

    return _TOKEN.sub(replace, text)
